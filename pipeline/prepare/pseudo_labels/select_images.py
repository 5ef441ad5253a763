"""Select the images of data.unlabelled_source that become train images; their labels are those of a model.

Val and test stay as they are. An image that val or test shows too, in equal or near copies or by
data.group_by, is left out: its pseudo-labels would carry what the teacher knows of it into the training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.config.groups.data import DataConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.dataset.image_columns import ImageColumns
from pipeline.dataset.pseudo_labels import PseudoLabelRecord, write_pseudo_label_record
from pipeline.prepare.file_names import assign_prefixed_stems
from pipeline.prepare.ingest import IngestedImage
from pipeline.prepare.ingest_source import IngestedSource
from pipeline.prepare.pseudo_labels.find_relatives import find_related_images
from pipeline.prepare.pseudo_labels.read_folder import (
    PseudoLabelFolder,
    describe_edits,
    ingest_pseudo_images,
    list_present_images,
    open_folder,
)
from pipeline.prepare.pseudo_labels.require_fit import refuse_known_images, require_same_labels
from pipeline.prepare.splits.groups import COLUMN_PREFIX
from pipeline.prepare.splits.held_out_relatives import select_by_hash
from pipeline.prepare.splits.partition import SplitResult
from pipeline.prepare.thumbnail_store import ThumbnailStore

STEM_PREFIX: Final = "pseudo_"
"""Begins the file names of pseudo-labelled images in the prepared dataset."""
EQUAL_TO_LABELLED: Final = "equal to a labelled image"
HELD_OUT: Final = "in a group with an image of val or test"
BEYOND_SHARE: Final = "beyond data.unlabelled_share"
REMOVED: Final = "removed by hand"
_COUNTED: Final = frozenset({EQUAL_TO_LABELLED, HELD_OUT, BEYOND_SHARE, REMOVED})


class PseudoImages(NamedTuple):
    """The pseudo-labelled images of a dataset.

    Attributes:
        images: Those that become train images.
        remarks: What the user should know, a sentence each.
        record: Of the folder; None where data.unlabelled_source is null.
        left_out: Name in the folder of unlabelled images, and reason, of each image that is not used.
    """

    images: Sequence[IngestedImage] = ()
    remarks: Sequence[str] = ()
    record: PseudoLabelRecord | None = None
    left_out: Sequence[tuple[str, str]] = ()

    def place(self, labelled: Sequence[tuple[IngestedImage, str]]) -> list[tuple[IngestedImage, str]]:
        """Return each image with its path in the dataset, without suffix.

        Args:
            labelled: The same of the labelled images, whose names stay theirs.
        """
        taken = [PurePosixPath(stem).name for _, stem in labelled]
        stems = assign_prefixed_stems([image.source for image in self.images], STEM_PREFIX, taken)
        return [(image, f"train/{stem}") for image, stem in zip(self.images, stems, strict=True)]

    def describe_columns(self) -> dict[str, ImageColumns]:
        """Return the columns of each image by its name in the source; each is a group of its own."""
        return {
            image.source: ImageColumns(image.source, image.appearance.brightness, image.appearance.sharpness)
            for image in self.images
        }

    def write_record(self, folder: Path) -> None:
        """Write the record into a prepared dataset, with what was left out, if there is one."""
        if self.record is not None:
            facts = {"used": len(self.images), "left_out": [list(row) for row in self.left_out]}
            write_pseudo_label_record(folder, self.record, facts)


def select_pseudo_images(
    config: Config,
    labelled: IngestedSource,
    *,
    split: SplitResult,
    thumbnails: ThumbnailStore,
    staging: Path,
) -> PseudoImages:
    """Read the images of data.unlabelled_source, and select those that become train images.

    Args:
        config: The configuration.
        labelled: The labelled images.
        split: Their splits.
        thumbnails: Of the labelled images; those of the others are added.
        staging: The folder for repaired images.

    Raises:
        UserError: The folder has no pseudo-labels, or those of other classes; its teacher was trained on
            images that are in val or test; or none of its images can be used.
    """
    data = config.data
    if data.unlabelled_source is None:
        return PseudoImages()
    folder = open_folder(data.unlabelled_source, [image.source for image in labelled.images])
    require_same_labels(folder.record, labelled.annotated)
    refuse_known_images(folder.record, labelled.images, split)
    usable, left_out = _read_images(config, folder, thumbnails, staging)
    left_out |= _leave_out_labelled(usable, labelled)
    related = find_related_images(data, usable, labelled, splits=split.splits, thumbnails=thumbnails)
    left_out |= dict.fromkeys(related.held_out, HELD_OUT)
    left_out |= _leave_out_most(data, usable, left_out, split)
    images = [image for name, image in usable.items() if name not in left_out]
    if not images:
        raise UserError(
            f"data.unlabelled_source={data.unlabelled_source} adds no image to train "
            f"({_count_reasons(left_out)}): set it to null, or label other images"
        )
    remarks = [
        _describe_use(folder.record, len(images), left_out),
        *describe_edits(folder),
        *_describe_groups(data, related.grouped),
    ]
    return PseudoImages(images, remarks, folder.record, [*left_out.items()])


def _read_images(
    config: Config, folder: PseudoLabelFolder, thumbnails: ThumbnailStore, staging: Path
) -> tuple[dict[str, IngestedImage], dict[str, str]]:
    """Return the images that can be used, and why others cannot, by their names in the record."""
    present = list_present_images(folder)
    removed = {image.source for image in folder.record.images} - {image.source for image in present}
    results = ingest_pseudo_images(config, folder, present, thumbnails=thumbnails, staging=staging)
    usable: dict[str, IngestedImage] = {}
    left_out = dict.fromkeys(sorted(removed), REMOVED)
    for image, (ingested, reason) in zip(present, results, strict=True):
        if ingested is None:
            left_out[image.source] = reason
        else:
            usable[image.source] = ingested
    return usable, left_out


def _leave_out_labelled(usable: Mapping[str, IngestedImage], labelled: IngestedSource) -> dict[str, str]:
    """Leave out images that people have labelled since."""
    hashes = {image.sha256 for image in labelled.images}
    return {name: EQUAL_TO_LABELLED for name, image in usable.items() if image.sha256 in hashes}


def _leave_out_most(
    data: DataConfig, usable: Mapping[str, IngestedImage], left_out: Mapping[str, str], split: SplitResult
) -> dict[str, str]:
    """Leave out what is beyond data.unlabelled_share."""
    train = Counter(split.splits.values())["train"]
    hashes = {name: image.sha256 for name, image in usable.items() if name not in left_out}
    kept = select_by_hash(hashes, int(data.unlabelled_share * train), seed=data.fraction_seed)
    return {name: BEYOND_SHARE for name in hashes if name not in kept}


def _describe_use(record: PseudoLabelRecord, used: int, left_out: Mapping[str, str]) -> str:
    reasons = f"; left out: {_count_reasons(left_out)}" if left_out else ""
    return (
        f"{used} of {format_count(len(record.images), 'pseudo-labelled image')} are train images, beside the "
        f"labelled ones that are counted here (teacher: {record.teacher_name}){reasons}"
    )


def _count_reasons(left_out: Mapping[str, str]) -> str:
    """Count the images by reason; defects of files and labels, which all differ, are one reason."""
    defects = {name: reason for name, reason in left_out.items() if reason not in _COUNTED}
    counts = Counter(reason for reason in left_out.values() if reason in _COUNTED)
    counted = [f"{number} {reason}" for reason, number in counts.most_common()]
    for name, reason in [*defects.items()][:1]:
        counted.append(f"{len(defects)} with defects, such as {name} ({reason})")
    return ", ".join(counted)


def _describe_groups(data: DataConfig, grouped: int) -> list[str]:
    """Return a warning where data.group_by cannot tell which images belong to groups of val or test."""
    if data.group_by is None or grouped:
        return []
    reason = "they have no table" if data.group_by.startswith(COLUMN_PREFIX) else "by their names"
    return [
        f"data.group_by={data.group_by} puts no pseudo-labelled image into a group of labelled ones "
        f"({reason}): take care that they show nothing that belongs to a group of val or test"
    ]

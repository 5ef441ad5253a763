"""Require that pseudo-labels fit the labelled images: their classes, and what their teacher learned from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.dataset.pseudo_labels import PseudoLabelRecord, shorten_image_hash
from pipeline.prepare.ingest import IngestedImage
from pipeline.prepare.splits.partition import SplitResult
from pipeline.source.types import Source


def require_same_labels(record: PseudoLabelRecord, source: Source) -> None:
    """Require the task, the key points and the classes of the labelled images.

    Args:
        record: Of the pseudo-labels.
        source: The labelled images, with the task of the dataset.

    Raises:
        UserError: They are others.
    """
    again = "let a model of this data make them (`finetrack pseudo-label`)"
    if (record.task, _get_points(record.keypoints)) != (source.task, _get_points(source.keypoints)):
        points = " with other key points" if record.task == source.task else ""
        raise UserError(
            f"the pseudo-labels of data.unlabelled_source are for {record.task}, and the labels of "
            f"data.source for {source.task}{points}: {again}"
        )
    if record.names != source.names:
        raise UserError(
            f"the pseudo-labels of data.unlabelled_source have the classes {', '.join(record.names)}, and "
            f"the labels of data.source {', '.join(source.names)}: {again}"
        )


def _get_points(keypoints: Keypoints | None) -> Keypoints | None:
    """Return keypoints without their order in a mirrored image, which no label file depends on."""
    return keypoints and replace(keypoints, flip=())


def refuse_known_images(
    record: PseudoLabelRecord, images: Iterable[IngestedImage], split: SplitResult
) -> None:
    """Refuse pseudo-labels of a teacher that learned from images that are held out now.

    Args:
        record: Of the pseudo-labels.
        images: The labelled images.
        split: Their splits.

    Raises:
        UserError: The labels would carry images of val or test, or those that data.fraction leaves out, into
            the training.
    """
    known = frozenset(record.trained_on)
    learned = [image.source for image in images if shorten_image_hash(image.sha256) in known]
    held_out = [source for source in learned if split.splits.get(source) in {"val", "test"}]
    teacher = f"the teacher of data.unlabelled_source, {record.teacher_name}, was trained on"
    if held_out:
        raise UserError(
            f"{teacher} {format_count(len(held_out), 'image')} of val or test, such as {held_out[0]} "
            f"({split.splits[held_out[0]]}), and its labels would carry them into the training: let a model "
            "that was trained on this split make the labels"
        )
    outside = [source for source in learned if source in split.outside]
    if outside:
        raise UserError(
            f"{teacher} {format_count(len(outside), 'image')} that data.fraction leaves out, such as "
            f"{outside[0]}, and a small part would seem to be worth more than it is: let a model that was "
            "trained with the same data.fraction make the labels"
        )

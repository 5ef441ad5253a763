"""The augment stage: generate augmented copies of train images, each with a record of its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pipeline.augment.balance import allocate_copies
from pipeline.augment.parameters import AugmentationRanges
from pipeline.config.groups.augment import OfflineAugmentation
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED_FOLDER, PREPARED_FOLDER
from pipeline.core.stages import UNGUARDED, StageGuard
from pipeline.dataset.augmentation_records import AugmentationRecords, AugmentedImage, choose_copy_marker
from pipeline.dataset.augmented import create_augmented_folders, write_augmentation_records
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest, require_labeled_objects
from pipeline.storage.disk_space import require_space
from pipeline.storage.files import write_folder

MIN_COPY_SHARE: Final = 0.2
"""A copy takes at least this share of the bytes of its source: few are blurred to less."""
UNCOMPRESSED_SUFFIXES: Final = (".bmp", ".tif", ".tiff", ".dng")
"""Of images whose copies, as PNG, may take any smaller number of bytes."""
if TYPE_CHECKING:
    from pipeline.augment.generate import CopyJob
    from pipeline.augment.plan_copy import CopyRules


def run_stage(config: Config, guard: StageGuard = UNGUARDED) -> None:
    """Write augmented copies of train images to data/augmented; val and test stay unchanged."""
    offline = config.augment.offline
    manifest = read_manifest(PREPARED_FOLDER)
    require_labeled_objects(manifest)
    with write_folder(AUGMENTED_FOLDER) as folder:
        create_augmented_folders(folder)
        copies = _generate(manifest, config, folder=folder) if offline.multiplier > 1 else []
        written = write_augmentation_records(folder, manifest.digest, copies)
        guard.confirm()
    print(f"augment: {_summarize(manifest, written)}")


def plan_copies(
    manifest: Manifest, offline: OfflineAugmentation, *, seed: int
) -> tuple[list[CopyJob], CopyRules]:
    """Return the copies to generate, grouped by source image, and the settings of all copies.

    Raises:
        UserError: The labels of this task do not allow one of the transforms.
    """
    from pipeline.augment.copy_paste import PasteSettings, build_donor_pool
    from pipeline.augment.generate import list_copy_jobs
    from pipeline.augment.plan_copy import CopyRules

    if offline.copy_paste and manifest.task != "segment":
        raise UserError(
            f"augment.offline.copy_paste={offline.copy_paste:g} needs outlines, and {PREPARED_FOLDER} has "
            f"labels for {manifest.task}: set augment.offline.copy_paste=0"
        )
    train = manifest.in_split("train")
    counts = allocate_copies(
        [item.classes for item in train], multiplier=offline.multiplier, balance=offline.balance, seed=seed
    )
    mark = choose_copy_marker([PurePosixPath(item.file).stem for item in manifest.items])
    pasting = PasteSettings(offline.copy_paste, build_donor_pool(train)) if offline.copy_paste else None
    ranges = _build_ranges(offline)
    if manifest.keypoints and not manifest.keypoints.flip:
        ranges = _leave_out_flips(ranges)
    rules = CopyRules(ranges, offline.visible, seed, manifest.task, manifest.keypoints, pasting)
    return list_copy_jobs(train, counts, mark), rules


def _generate(manifest: Manifest, config: Config, *, folder: Path) -> list[AugmentedImage]:
    from pipeline.augment.contact_sheets import write_contact_sheets
    from pipeline.augment.generate import generate_copies
    from pipeline.runtime.backends import open_executor

    offline, compute = config.augment.offline, config.compute
    jobs, rules = plan_copies(manifest, offline, seed=config.seed)
    _require_space_for_copies(jobs, folder)
    with open_executor(compute.backend, address=compute.address, workers=offline.workers) as each:
        copies = list(generate_copies(jobs, source=PREPARED_FOLDER, target=folder, rules=rules, each=each))
    write_contact_sheets(copies, manifest, source=PREPARED_FOLDER, target=folder)
    return copies


def _require_space_for_copies(jobs: list[CopyJob], folder: Path) -> None:
    """Require space for the copies before the first one is drawn."""
    lengths = {file: _measure_compressed(file) for file in {job.item.file for job in jobs}}
    needed = MIN_COPY_SHARE * sum(lengths[job.item.file] for job in jobs)
    require_space(folder, needed, what=f"the {len(jobs):,} copies of {AUGMENTED_FOLDER}")


def _measure_compressed(file: str) -> int:
    """Return the length of an image file; 0 if it may not be compressed."""
    is_compressed = not file.lower().endswith(UNCOMPRESSED_SUFFIXES)
    return (PREPARED_FOLDER / "images" / file).stat().st_size if is_compressed else 0


def _build_ranges(offline: OfflineAugmentation) -> AugmentationRanges:
    return AugmentationRanges(
        **{name: getattr(offline, name) for name in AugmentationRanges.__dataclass_fields__}
    )


def _leave_out_flips(ranges: AugmentationRanges) -> AugmentationRanges:
    """Return the ranges without flips, as Ultralytics does where no flip_idx is stated.

    Raises:
        UserError: Nothing else can be drawn.
    """
    unflipped = replace(ranges, fliplr=0.0, flipud=0.0)
    if not unflipped.can_change_more_than_flips:
        raise UserError(
            "augment.offline would only repeat images, as none is mirrored where it is not known which key "
            "points change places: state it in the source (flip_idx in data.yaml, or names of the points), "
            "set augment=none, or give a transform a range"
        )
    return unflipped


def _summarize(manifest: Manifest, written: AugmentationRecords) -> str:
    if not written.count:
        return "no copies (augment.offline.multiplier=1)"
    originals, counts = manifest.count_objects("train"), written.count_objects()
    totals = [(name, originals[name] + counts[cls]) for cls, name in enumerate(manifest.names)]
    objects = ", ".join(f"{name} {total}" for name, total in totals if total)
    dropped = sum(copy.dropped for copy in written.copies)
    pasted = sum(len(copy.pasted) for copy in written.copies)
    is_unknown = manifest.keypoints and not manifest.keypoints.flip
    unflipped = "; none is mirrored, as it is not known which key points change places" if is_unknown else ""
    return (
        f"{written.count} copies beside {len(manifest.in_split('train'))} train images; "
        f"{'images' if manifest.task == 'classify' else 'objects'} to train on: {objects}; "
        f"{f'{pasted} pasted in, ' if pasted else ''}{dropped} cut below the visible share lost their labels"
        f"{unflipped}"
    )

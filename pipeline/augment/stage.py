"""augment: train images -> additional augmented train images, each with a record of its source."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.augment import balance
from pipeline.augment.parameters import AugmentationRanges
from pipeline.config.augment import OfflineAugmentation
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED, PREPARED
from pipeline.dataset import augmentation_records
from pipeline.dataset.augmentation_records import AugmentationRecords, AugmentedImage
from pipeline.dataset.augmented import lay_out, write_records
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.storage.files import folder_in_one_piece

if TYPE_CHECKING:
    from pipeline.augment.generate import CopyJob
    from pipeline.augment.plan_copy import CopyRules


def run(config: Config) -> None:
    """Draw copies of train images into data/augmented; val and test are left as they are."""
    offline = config.augment.offline
    manifest = read_manifest(PREPARED)
    with folder_in_one_piece(AUGMENTED) as folder:
        lay_out(folder)
        copies = _copy(manifest, config, folder=folder) if offline.multiplier > 1 else []
        written = write_records(folder, manifest.digest, copies)
    print(f"augment: {_summary(manifest, written)}")


def plan(manifest: Manifest, offline: OfflineAugmentation, *, seed: int) -> tuple[list[CopyJob], CopyRules]:
    """Return the copies to draw, those of one image side by side, and what holds for all of them.

    Raises:
        Refused: A transform that the labels of this task do not allow.
    """
    from pipeline.augment import generate
    from pipeline.augment.copy_paste import PasteSettings, stock
    from pipeline.augment.plan_copy import CopyRules  # shapely and OpenCV: not where no copy is drawn

    if offline.copy_paste and manifest.task != "segment":
        raise UserError(
            f"augment.offline.copy_paste={offline.copy_paste:g} needs outlines, and {PREPARED} has "
            f"labels for {manifest.task}: set augment.offline.copy_paste=0"
        )
    train = manifest.of("train")
    counts = balance.copies(
        [item.classes for item in train], multiplier=offline.multiplier, balance=offline.balance, seed=seed
    )
    mark = augmentation_records.mark([PurePosixPath(item.file).stem for item in manifest.items])
    pasting = PasteSettings(offline.copy_paste, stock(train)) if offline.copy_paste else None
    rules = CopyRules(_ranges(offline), offline.visible, seed, manifest.task, manifest.keypoints, pasting)
    return generate.jobs(train, counts, mark), rules


def _copy(manifest: Manifest, config: Config, *, folder: Path) -> list[AugmentedImage]:
    from pipeline.augment import contact_sheets, generate
    from pipeline.runtime import backends

    offline, compute = config.augment.offline, config.compute
    todo, rules = plan(manifest, offline, seed=config.seed)
    with backends.dealer(compute.backend, address=compute.address, workers=offline.workers) as each:
        copies = list(generate.draw(todo, source=PREPARED, target=folder, rules=rules, each=each))
    contact_sheets.write(copies, manifest, source=PREPARED, target=folder)
    return copies


def _ranges(offline: OfflineAugmentation) -> AugmentationRanges:
    return AugmentationRanges(
        **{name: getattr(offline, name) for name in AugmentationRanges.__dataclass_fields__}
    )


def _summary(manifest: Manifest, written: AugmentationRecords) -> str:
    if not written.count:
        return "no copies (augment.offline.multiplier=1)"
    originals, counts = manifest.counts("train"), written.counts()
    totals = [(name, originals[name] + counts[cls]) for cls, name in enumerate(manifest.names)]
    objects = ", ".join(f"{name} {total}" for name, total in totals if total)
    dropped = sum(copy.dropped for copy in written.copies)
    pasted = sum(len(copy.pasted) for copy in written.copies)
    return (
        f"{written.count} copies beside {len(manifest.of('train'))} train images; "
        f"{'images' if manifest.task == 'classify' else 'objects'} to train on: {objects}; "
        f"{f'{pasted} pasted in, ' if pasted else ''}{dropped} cut below the visible share lost their labels"
    )

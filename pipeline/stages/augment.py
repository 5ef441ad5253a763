"""augment: train images -> additional augmented train images, each with a record of its source."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tqdm import tqdm

from pipeline.config import Config, Offline
from pipeline.core import layout, records, sampling
from pipeline.core.copies import Rules
from pipeline.core.manifest import Manifest
from pipeline.core.recipes import Ranges
from pipeline.core.records import Copy, Records
from pipeline.edges import augmented, dataset
from pipeline.edges.files import folder_in_one_piece


def run(config: Config) -> None:
    """Draw copies of train images into data/augmented; val and test are left as they are."""
    offline = config.augment.offline
    manifest = dataset.read_manifest(layout.PREPARED)
    with folder_in_one_piece(layout.AUGMENTED) as folder:
        augmented.lay_out(folder)
        copies = _copy(manifest, offline, seed=config.seed, folder=folder) if offline.multiplier > 1 else []
        written = augmented.write_records(folder, manifest.digest, copies)
    print(f"augment: {_summary(manifest, written)}")


def _copy(manifest: Manifest, offline: Offline, *, seed: int, folder: Path) -> list[Copy]:
    from pipeline.edges import contact_sheets, copying  # OpenCV: not where no copy is drawn

    train = manifest.of("train")
    counts = sampling.copies(
        [item.classes for item in train], multiplier=offline.multiplier, balance=offline.balance, seed=seed
    )
    mark = records.mark([PurePosixPath(item.file).stem for item in manifest.items])
    todo = copying.jobs(train, counts, mark)
    rules = Rules(_ranges(offline), offline.visible, seed)
    drawn = copying.draw(todo, source=layout.PREPARED, target=folder, rules=rules, workers=offline.workers)
    copies = list(tqdm(drawn, total=len(todo), desc="augment", unit="image", disable=None))
    contact_sheets.write(copies, source=layout.PREPARED, target=folder, names=manifest.names)
    return copies


def _ranges(offline: Offline) -> Ranges:
    return Ranges(**{name: getattr(offline, name) for name in Ranges.__dataclass_fields__})


def _summary(manifest: Manifest, written: Records) -> str:
    if not written.count:
        return "no copies (augment.offline.multiplier=1)"
    originals, counts = manifest.counts("train"), written.counts()
    objects = ", ".join(f"{name} {originals[name] + counts[cls]}" for cls, name in enumerate(manifest.names))
    dropped = sum(copy.dropped for copy in written.copies)
    return (
        f"{written.count} copies beside {len(manifest.of('train'))} train images; "
        f"objects to train on: {objects}; {dropped} cut below the visible share lost their labels"
    )

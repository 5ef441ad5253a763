"""What about a dataset may mislead a training or its measurement: warnings, each with its figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.paths import SPLITS
from pipeline.core.tasks import Task
from pipeline.prepare.report import split_differences
from pipeline.prepare.report.histograms import IMGSZ, TINY, tiny
from pipeline.prepare.report.statistics import DatasetColumns

FEW_TO_MEASURE: Final = 30
"""Objects of a class in test below which a recall of 80% is uncertain by 14 points and more either way."""

FEW_TO_LEARN: Final = 20


class BiasWarning(NamedTuple):
    """One warning.

    Attributes:
        kind: What is amiss, a few words; concerns of one kind belong together.
        text: Where, with figures.
    """

    kind: str
    text: str


class _WarningInputs(NamedTuple):
    table: DatasetColumns
    names: Sequence[str]
    what: str


def concerns(table: DatasetColumns, names: Sequence[str], task: Task) -> list[BiasWarning]:
    """List what may mislead, the gravest kinds first.

    Args:
        table: The dataset.
        names: Class names by index.
        task: With classify, images are counted, and there are no sizes and places of objects.
    """
    data = _WarningInputs(table, names, "images" if task == "classify" else "objects")
    checks = _ALWAYS if task == "classify" else (*_ALWAYS, *_OF_OBJECTS)
    return [concern for check in checks for concern in check(data)]


def _absent(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split in ("train", "test"):
        counts = _counts(data, split)
        lacking = [name for name, count in zip(data.names, counts, strict=True) if not count]
        use = "to learn from" if split == "train" else "to measure on"
        if lacking:
            yield BiasWarning(f"Nothing {use}", f"no {data.what} in {split} of {_listed(lacking)}")


def _few_to_learn(data: _WarningInputs) -> Iterator[BiasWarning]:
    few = _below(_counts(data, "train"), FEW_TO_LEARN, data.names)
    if few:
        listed = _listed([f"{name} {count}" for count, name in few])
        yield BiasWarning(
            "Few examples to learn from",
            f"{data.what} in train: {listed}; below {FEW_TO_LEARN} it is luck what a class is taken for: "
            "collect more, or draw them more often (augment.offline.balance)",
        )


def _few_to_measure(data: _WarningInputs) -> Iterator[BiasWarning]:
    few = _below(_counts(data, "test"), FEW_TO_MEASURE, data.names)
    if few:
        listed = _listed([f"{name} {count} ({_spread(count)})" for count, name in few])
        yield BiasWarning(
            "Too few test examples to measure",
            f"{data.what} in test: {listed}; in brackets the 95% interval of a recall of 80% that is "
            "measured on them",
        )


def _one_folder(data: _WarningInputs) -> Iterator[BiasWarning]:
    for cls, images, folder, number in alone(data.table, len(data.names)):
        yield BiasWarning(
            "A class in one folder only",
            f"{data.names[cls]}: all {images} images lie in {folder or 'the top folder'}, one of {number} "
            "folders; what else they share (light, camera, ground) may be learnt instead",
        )


def _class_shares(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split, cls, train, other in split_differences.shares(data.table, len(data.names)):
        yield BiasWarning(
            "Splits differ in class shares",
            f"{data.names[cls]} is in {train:.0%} of the train images, but in {other:.0%} of {split}",
        )


def _brightness(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split, train, other in split_differences.means(data.table, data.table.brightness):
        yield BiasWarning(
            "Splits differ in brightness",
            f"{split} is {'brighter' if other > train else 'darker'} than train: "
            f"{other:.0%} of white on average against {train:.0%}",
        )


def _sharpness(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split, train, other in split_differences.means(
        data.table, np.log10(np.maximum(data.table.sharpness, 1e-9))
    ):
        yield BiasWarning(
            "Splits differ in sharpness",
            f"{split} is {'sharper' if other > train else 'softer'} than train: variance of the Laplacian "
            f"{10**other:.3g} on (geometric) average against {10**train:.3g}",
        )


def _tiny(data: _WarningInputs) -> Iterator[BiasWarning]:
    shares = tiny(data.table)
    if shares[IMGSZ] > 0.1:
        others = ", ".join(f"{share:.0%} at {imgsz}" for imgsz, share in shares.items() if imgsz != IMGSZ)
        yield BiasWarning(
            "Tiny objects",
            f"{shares[IMGSZ]:.0%} of the objects are under {TINY} pixels on their shorter side at "
            f"imgsz={IMGSZ} ({others}): train at a larger imgsz, or cut the images into tiles",
        )


def _dominant(data: _WarningInputs) -> Iterator[BiasWarning]:
    counts = np.bincount(data.table.classes, minlength=len(data.names))
    whole, top = int(counts.sum()), int(counts.argmax())
    if np.count_nonzero(counts) > 1 and counts[top] > 0.8 * whole:
        yield BiasWarning(
            "One class dominates",
            f"{data.names[top]} has {counts[top] / whole:.0%} of all {data.what}: mAP counts every class "
            "alike, training does not (augment.offline.balance draws rare classes more often)",
        )


def _middle(data: _WarningInputs) -> Iterator[BiasWarning]:
    """Find objects that always lie in the middle ninth of the image: a model may learn the place."""
    centres = (data.table.boxes[:, :2] + data.table.boxes[:, 2:]) / 2
    small = (data.table.boxes[:, 2:] - data.table.boxes[:, :2]).max(axis=1, initial=0) < 0.5
    inside = np.abs(centres[small] - 0.5).max(axis=1, initial=0) < 1 / 6
    if len(inside) >= FEW_TO_MEASURE and inside.mean() > 0.6:
        yield BiasWarning(
            "Objects in one place",
            f"{inside.mean():.0%} of the objects lie in the middle ninth of the image: "
            "the model may learn where instead of what (augment with scale and crop)",
        )


def _backgrounds(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split in SPLITS:
        part = data.table.of(split)
        empty = (part.per_image == 0).mean() if len(part.splits) else 0.0
        if empty > 0.5:
            yield BiasWarning(
                "Many images without objects",
                f"{empty:.0%} of the {split} images have no object: right for rare defects, "
                "wrong if labels are missing",
            )


_ALWAYS: Final[tuple[Callable[[_WarningInputs], Iterator[BiasWarning]], ...]] = (
    *(_absent, _few_to_measure, _few_to_learn),
    *(_class_shares, _dominant, _brightness, _sharpness),
)
_OF_OBJECTS: Final[tuple[Callable[[_WarningInputs], Iterator[BiasWarning]], ...]] = (
    _one_folder,
    _tiny,
    _middle,
    _backgrounds,
)


def _counts(data: _WarningInputs, split: str) -> list[int]:
    chosen = data.table.splits[data.table.images] == split
    counts: list[int] = np.bincount(data.table.classes[chosen], minlength=len(data.names)).tolist()
    return counts


def _below(counts: Sequence[int], bound: int, names: Sequence[str]) -> list[tuple[int, str]]:
    """Return count and name of the classes that are there, but are fewer, the rarest first."""
    return sorted((count, name) for count, name in zip(counts, names, strict=True) if 0 < count < bound)


def _spread(count: int) -> str:
    low, high = interval(count)
    return f"{100 * low:.0f} to {high:.0%}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


NO_ACCIDENT: Final = 5
"""Images of a class from which on it is no accident that one folder has them all."""


_NOT_A_PLACE: Final = {
    *("train", "training", "val", "valid", "validation", "test", "testing"),
    *("images", "image", "img", "imgs", "jpegimages"),
}


def alone(table: DatasetColumns, classes: int) -> Iterator[tuple[int, int, str, int]]:
    """Yield classes that one folder alone has, and one with at most half of all images.

    A folder with most of the images has most classes to itself by chance.

    Yields:
        The class, the number of its images, their folder, the number of folders.
    """
    folders = [source.rpartition("/")[0] for source in table.sources]
    known = {folder: place(f"{folder}/") for folder in set(folders)}
    names, where = np.unique([known[folder] for folder in folders], return_inverse=True)
    for cls in range(classes) if len(names) > 1 else ():
        holders = np.unique(table.images[table.classes == cls])
        found = np.unique(where[holders])
        if len(found) == 1 and len(holders) >= NO_ACCIDENT and 2 * (where == found[0]).sum() <= len(where):
            yield cls, len(holders), str(names[found[0]]), len(names)


def place(source: str) -> str:
    """Return the folder an image lies in, without the parts that only name a split or say `images`."""
    parts = PurePosixPath(source.rpartition("/")[0]).parts
    return "/".join(part for part in parts if not _NOT_A_PLACE & set(re.split(r"[^a-z]+", part.lower())))


_Z: Final = 1.959964
"""The normal distribution's 97.5% point."""


def interval(objects: int, recall: float = 0.8) -> tuple[float, float]:
    """Return the 95% interval that a recall measured on so many objects has (Wilson, JASA 1927).

    Objects of one image are no independent draws, so that the truth is rather wider.
    """
    if not objects:
        return 0.0, 1.0
    middle = (recall + _Z**2 / (2 * objects)) / (1 + _Z**2 / objects)
    root = (recall * (1 - recall) / objects + _Z**2 / (4 * objects**2)) ** 0.5
    half = _Z * root / (1 + _Z**2 / objects)
    return middle - half, middle + half

"""Warnings about a dataset: what may mislead a training or its evaluation, with numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.findings import Finding
from pipeline.core.paths import SPLITS
from pipeline.core.tasks import Task
from pipeline.core.text import format_count
from pipeline.prepare.report.histograms import (
    DEFAULT_IMGSZ,
    REPORTED_IMGSZ,
    TINY_PIXELS,
    compute_tiny_shares,
)
from pipeline.prepare.report.single_folders import find_single_folder_classes
from pipeline.prepare.report.split_differences import compare_class_shares, compare_means
from pipeline.prepare.report.statistics import DatasetColumns

MIN_TEST_OBJECTS: Final = 30
"""Objects of a class in test: with fewer, a recall of 80% is uncertain by 14 points or more."""

MIN_TRAIN_OBJECTS: Final = 20
"""Objects of a class in train: with fewer, training depends on chance."""

_NOTHING: Final = "Nothing"
_TINY_OBJECTS: Final = "Tiny objects"


class BiasWarning(NamedTuple):
    """One warning.

    Attributes:
        kind: The problem in a few words; warnings of one kind are listed together.
        text: Where it is, with numbers.
    """

    kind: str
    text: str


class _WarningInputs(NamedTuple):
    table: DatasetColumns
    names: Sequence[str]
    unit: str
    imgsz: int | None


def find_warnings(
    table: DatasetColumns, names: Sequence[str], task: Task, *, imgsz: int | None = None
) -> list[BiasWarning]:
    """List the warnings, the most severe kinds first.

    Args:
        table: The dataset.
        names: Class names by index.
        task: The task; classify counts images, and has no sizes and positions of objects.
        imgsz: The size that images are trained at, at which objects may be tiny; None for a dataset whose
            trainings may have several: objects are judged at DEFAULT_IMGSZ, and other sizes are listed.
    """
    data = _WarningInputs(table, names, "images" if task == "classify" else "objects", imgsz)
    checks = [check for check in _CHECKS if task != "classify" or check not in _OBJECT_CHECKS]
    return [warning for check in checks for warning in check(data)]


def judge_tiny_objects(
    warnings: Sequence[BiasWarning], table: DatasetColumns, task: Task, *, imgsz: int | None
) -> list[BiasWarning]:
    """Replace the warning about tiny objects of a dataset by that of its training at one size.

    Args:
        warnings: As `find_warnings` returns them; computing all again would take as long again.
        table: The dataset.
        task: The task.
        imgsz: The size that images are trained at; None as in `find_warnings`.
    """
    others = [warning for warning in warnings if warning.kind != _TINY_OBJECTS]
    tiny = _find_tiny_objects(_WarningInputs(table, (), "objects", imgsz)) if task != "classify" else ()
    place = sum(warning.kind.startswith(_NOTHING) for warning in others)
    return [*others[:place], *tiny, *others[place:]]


def find_unlabelled_images(findings: Iterable[Finding], images: int) -> list[BiasWarning]:
    """Warn of images that nobody may have labelled yet, with their share.

    Args:
        findings: All findings of the source.
        images: Number of images in the source.
    """
    verdicts = {finding.file: finding.verdict for finding in findings if finding.kind == "missing-label"}
    if not verdicts:
        return []
    left_out = sum(verdict == "quarantined" for verdict in verdicts.values())
    used = len(verdicts) - left_out
    how = [f"{left_out} left out"] * bool(left_out) + [f"{used} used as background"] * bool(used)
    share = f"{len(verdicts)} of {format_count(images, 'image')} ({len(verdicts) / images:.0%})"
    text = f"{share}: {', '.join(how)}; pictures of them are below, and data.unlabelled decides"
    return [BiasWarning("Images without a label file", text)]


def _find_absent_classes(data: _WarningInputs) -> Iterator[BiasWarning]:
    uses = {"train": "to learn from", "val": "to choose the epoch by", "test": "to measure on"}
    for split, use in uses.items():
        counts = _count_objects(data, split)
        absent = [name for name, count in zip(data.names, counts, strict=True) if not count]
        if absent and (split != "val" or sum(counts)):
            yield BiasWarning(f"{_NOTHING} {use}", f"no {data.unit} in {split} of {_join_names(absent)}")


def _find_few_train_objects(data: _WarningInputs) -> Iterator[BiasWarning]:
    few = _list_classes_below(_count_objects(data, "train"), MIN_TRAIN_OBJECTS, data.names)
    if few:
        listed = _join_names([f"{name} {count}" for count, name in few])
        yield BiasWarning(
            "Few examples to learn from",
            f"{data.unit} in train: {listed}; below {MIN_TRAIN_OBJECTS} it is luck what a class is taken "
            "for: collect more, or draw them more often (augment.offline.balance)",
        )


def _find_few_test_objects(data: _WarningInputs) -> Iterator[BiasWarning]:
    few = _list_classes_below(_count_objects(data, "test"), MIN_TEST_OBJECTS, data.names)
    if few:
        listed = _join_names([f"{name} {count} ({_format_interval(count)})" for count, name in few])
        yield BiasWarning(
            "Too few test examples to measure",
            f"{data.unit} in test: {listed}; in brackets the 95% interval of a recall of 80% that is "
            "measured on them",
        )


def _find_classes_in_one_folder(data: _WarningInputs) -> Iterator[BiasWarning]:
    for cls, images, folder, number in find_single_folder_classes(data.table, len(data.names)):
        yield BiasWarning(
            "A class in one folder only",
            f"{data.names[cls]}: all {images} images lie in {folder or 'the top folder'}, one of {number} "
            "folders; what else they share (light, camera, ground) may be learnt instead",
        )


def _find_class_share_differences(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split, cls, train, other in compare_class_shares(data.table, len(data.names)):
        yield BiasWarning(
            "Splits differ in class shares",
            f"{data.names[cls]} is in {train:.0%} of the train images, but in {other:.0%} of {split}",
        )


def _find_brightness_differences(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split, train, other in compare_means(data.table, data.table.brightness):
        yield BiasWarning(
            "Splits differ in brightness",
            f"{split} is {'brighter' if other > train else 'darker'} than train: "
            f"{other:.0%} of white on average against {train:.0%}",
        )


def _find_sharpness_differences(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split, train, other in compare_means(data.table, np.log10(np.maximum(data.table.sharpness, 1e-9))):
        yield BiasWarning(
            "Splits differ in sharpness",
            f"{split} is {'sharper' if other > train else 'softer'} than train: variance of the Laplacian "
            f"{10**other:.3g} on (geometric) average against {10**train:.3g}",
        )


def _find_tiny_objects(data: _WarningInputs) -> Iterator[BiasWarning]:
    imgsz = data.imgsz or DEFAULT_IMGSZ
    shares = compute_tiny_shares(data.table, sorted({imgsz, *REPORTED_IMGSZ}))
    if shares[imgsz] > 0.1:
        others = ", ".join(
            f"{share:.0%} at {size}"
            for size, share in shares.items()
            if size != imgsz and (data.imgsz is None or size > imgsz)
        )
        yield BiasWarning(
            _TINY_OBJECTS,
            f"{shares[imgsz]:.0%} of the objects are under {TINY_PIXELS} pixels on their shorter "
            f"side at imgsz={imgsz}{f' ({others})' if others else ''}: train at a larger imgsz, or cut the "
            "images into tiles",
        )


def _find_dominant_class(data: _WarningInputs) -> Iterator[BiasWarning]:
    counts = np.bincount(data.table.classes, minlength=len(data.names))
    total, top = int(counts.sum()), int(counts.argmax())
    if np.count_nonzero(counts) > 1 and counts[top] > 0.8 * total:
        effect = (
            "mAP counts every class alike, training does not"
            if data.unit == "objects"
            else "a model that always says so has that top-1; compare the recall of each class"
        )
        yield BiasWarning(
            "One class dominates",
            f"{data.names[top]} has {counts[top] / total:.0%} of all {data.unit}: {effect} "
            "(augment.offline.balance draws rare classes more often)",
        )


def _find_centered_objects(data: _WarningInputs) -> Iterator[BiasWarning]:
    """Warn if most objects are in the middle ninth of the image: a model may learn the position."""
    centers = (data.table.boxes[:, :2] + data.table.boxes[:, 2:]) / 2
    small = (data.table.boxes[:, 2:] - data.table.boxes[:, :2]).max(axis=1, initial=0) < 0.5
    inside = np.abs(centers[small] - 0.5).max(axis=1, initial=0) < 1 / 6
    if len(inside) >= MIN_TEST_OBJECTS and inside.mean() > 0.6:
        yield BiasWarning(
            "Objects in one place",
            f"{inside.mean():.0%} of the {len(inside)} objects that are smaller than half the image lie in "
            "its middle ninth: the model may learn where instead of what (augment with scale and crop)",
        )


def _find_many_backgrounds(data: _WarningInputs) -> Iterator[BiasWarning]:
    for split in SPLITS:
        part = data.table.select_split(split)
        empty = (part.objects_per_image == 0).mean() if len(part.splits) else 0.0
        if empty > 0.5:
            yield BiasWarning(
                "Many images without objects",
                f"{empty:.0%} of the {split} images have no object: right for rare defects, "
                "wrong if labels are missing",
            )


_OBJECT_CHECKS: Final = frozenset(
    {_find_classes_in_one_folder, _find_tiny_objects, _find_centered_objects, _find_many_backgrounds}
)
"""Checks that say nothing about whole images with one class each."""

_CHECKS: Final[tuple[Callable[[_WarningInputs], Iterator[BiasWarning]], ...]] = (
    *(_find_absent_classes, _find_tiny_objects, _find_few_test_objects, _find_few_train_objects),
    *(_find_many_backgrounds, _find_dominant_class, _find_class_share_differences),
    *(_find_classes_in_one_folder, _find_centered_objects),
    *(_find_brightness_differences, _find_sharpness_differences),
)


def _count_objects(data: _WarningInputs, split: str) -> list[int]:
    chosen = data.table.splits[data.table.image_index] == split
    counts: list[int] = np.bincount(data.table.classes[chosen], minlength=len(data.names)).tolist()
    return counts


def _list_classes_below(counts: Sequence[int], limit: int, names: Sequence[str]) -> list[tuple[int, str]]:
    """Return count and name of the classes with some objects but fewer than a limit, the rarest first."""
    return sorted((count, name) for count, name in zip(counts, names, strict=True) if 0 < count < limit)


def _format_interval(count: int) -> str:
    low, high = compute_recall_interval(count)
    return f"{100 * low:.0f} to {high:.0%}"


def _join_names(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


_Z: Final = 1.959964
"""The 97.5% quantile of the normal distribution."""


def compute_recall_interval(objects: int, recall: float = 0.8) -> tuple[float, float]:
    """Compute the 95% interval of a recall that is measured on this number of objects (Wilson, JASA 1927).

    Objects of one image are not independent, so that the true interval is wider.
    """
    if not objects:
        return 0.0, 1.0
    middle = (recall + _Z**2 / (2 * objects)) / (1 + _Z**2 / objects)
    root = (recall * (1 - recall) / objects + _Z**2 / (4 * objects**2)) ** 0.5
    half = _Z * root / (1 + _Z**2 / objects)
    return middle - half, middle + half

"""What a source holds, counted: for a person to read, or as JSON."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

from pipeline.core import findings as core_defects
from pipeline.core.findings import Finding
from pipeline.core.tasks import Keypoints, Task
from pipeline.core.text import format_count

UNSPLIT: Final = "unsplit"
"""The column of images that the source puts in no split."""
_ORDER: Final = ("train", "val", "test", UNSPLIT)
_SHOWN: Final = 3


class InspectedImage(NamedTuple):
    """One image as prepare would judge it.

    Attributes:
        split: Where the source puts it, if it says.
        usable: It would be used.
        classes: The class of each object that would be used.
        defects: What was found.
    """

    split: str | None
    usable: bool
    classes: tuple[int, ...]
    defects: tuple[Finding, ...]


@dataclass(frozen=True)
class SourceOverview:
    """A source, as prepare would take it in.

    Args:
        path: Where it lies.
        form: Its format.
        task: The richest task that its annotations serve.
        names: Its classes.
        keypoints: The points of a pose.
        found: Images, and annotations without one.
        used: Images that can be used.
        images: Usable images in each split.
        backgrounds: Usable images without objects in each split.
        objects: Objects of each class in each split, by names.
        remarks: What the user should know of how it was read.
        defects: Every finding, sorted by file.
        refusal: Why prepare would stop, and which value of conf/data goes on; empty where it would not.
    """

    path: str
    form: str
    task: Task
    names: tuple[str, ...]
    keypoints: Keypoints | None
    found: int
    used: int
    images: dict[str, int]
    backgrounds: dict[str, int]
    objects: dict[str, dict[str, int]]
    remarks: tuple[str, ...]
    defects: tuple[Finding, ...]
    refusal: str = ""


class SourceDescription(NamedTuple):
    """How a source was read: what an overview says before any image is looked at."""

    path: str
    form: str
    task: Task
    names: tuple[str, ...]
    keypoints: Keypoints | None
    remarks: tuple[str, ...]


def overview(
    source: SourceDescription, looked: Iterable[InspectedImage], elsewhere: Iterable[Finding]
) -> SourceOverview:
    """Count what was looked at.

    Args:
        source: How it was read.
        looked: Its images, one after the other; none is kept.
        elsewhere: Findings about other files.
    """
    found: list[Finding] = list(elsewhere)
    images: Counter[str] = Counter()
    backgrounds: Counter[str] = Counter()
    objects: Counter[tuple[str, int]] = Counter()
    for image in looked:
        found += image.defects
        split = image.split or UNSPLIT
        images[split] += image.usable
        backgrounds[split] += image.usable and not image.classes
        objects.update((split, cls) for cls in image.classes)
    splits = [split for split in _ORDER if split in images]
    counts = core_defects.count(found, used=images.total())
    return SourceOverview(
        **source._asdict(),
        found=counts.found,
        used=counts.used,
        images={split: images[split] for split in splits},
        backgrounds={split: backgrounds[split] for split in splits},
        objects={
            split: {name: objects[split, cls] for cls, name in enumerate(source.names)} for split in splits
        },
        defects=tuple(sorted(found)),
    )


def as_json(seen: SourceOverview) -> str:
    """Write an overview for machines."""
    values = asdict(seen)
    values["format"] = values.pop("form")
    values["defects"] = [defect._asdict() for defect in seen.defects]
    return json.dumps(values, indent=2, ensure_ascii=False)


def as_text(seen: SourceOverview) -> Iterator[str]:
    """Write an overview for a person, line by line."""
    total = sum(sum(counts.values()) for counts in seen.objects.values())
    yield f"{seen.path}"
    yield f"  format   {seen.form}"
    yield f"  task     {seen.task}"
    yield f"  images   {seen.used} of {seen.found} can be used"
    yield f"  objects  {total} of {format_count(len(seen.names), 'class')}"
    if seen.keypoints:
        yield f"  points   {', '.join(seen.keypoints.names)}"
    yield ""
    yield from _table(seen)
    for remark in seen.remarks:
        yield f"remark: {remark}"
    yield from _findings(seen.defects)
    if seen.refusal:
        yield f"prepare would stop: {seen.refusal}"


def _table(seen: SourceOverview) -> Iterator[str]:
    splits = list(seen.images)
    rows = [("images", [seen.images[split] for split in splits])]
    rows += [("without objects", [seen.backgrounds[split] for split in splits])]
    totals = {name: sum(counts[name] for counts in seen.objects.values()) for name in seen.names}
    most_first = sorted(filter(totals.get, totals), key=lambda name: -totals[name])
    rows += [(name, [seen.objects[split][name] for split in splits]) for name in most_first]
    width = max(_width(name) for name, _ in rows)
    yield "  ".join([" " * width, *(f"{split:>8}" for split in splits), f"{'all':>8}"])
    for name, numbers in rows:
        cells = "  ".join(f"{number:>8}" for number in (*numbers, sum(numbers)))
        yield f"{name}{' ' * (width - _width(name))}  {cells}"
    if idle := [name for name in seen.names if not totals[name]]:
        yield f"no objects: {', '.join(idle)}"
    yield ""


def _width(text: str) -> int:
    """Count the columns of a terminal: Chinese letters take two."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def _findings(found: Sequence[Finding]) -> Iterator[str]:
    """Count the findings by verdict and kind, and name the first of each."""
    tally = Counter((defect.verdict, defect.kind) for defect in found)
    yield f"findings: {len(found) or 'none'}"
    for (verdict, kind), number in sorted(tally.items(), key=lambda item: (item[0][0], -item[1])):
        yield f"  {verdict}: {kind}: {number}"
        first = [defect for defect in found if (defect.verdict, defect.kind) == (verdict, kind)][:_SHOWN]
        yield from (f"    {defect.file}: {defect.reason}" for defect in first)
        if number > len(first):
            yield f"    and {number - len(first)} more (--json lists them all)"

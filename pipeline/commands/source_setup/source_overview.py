"""Count what a source holds, and format it as text or JSON."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

from pipeline.core.findings import Finding, count_items
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.tasks import Keypoints, Task
from pipeline.core.text import format_count
from pipeline.prepare.report.warning_lines import REPORT_FILE, format_warning_lines
from pipeline.prepare.report.warnings import BiasWarning
from pipeline.runtime.output_encoding import escape_unencodable, needs_ascii_json

UNSPLIT: Final = "unsplit"
"""The column of images that the source assigns to no split."""
_SPLIT_ORDER: Final = ("train", "val", "test", UNSPLIT)
_MAX_SHOWN: Final = 3
REPORT_HINT: Final = f"`dvc repro prepare` writes {PREPARED_FOLDER / REPORT_FILE}"


class InspectedImage(NamedTuple):
    """One image as prepare would check it.

    Attributes:
        split: Where the source puts it, if it says.
        usable: Whether it would be used.
        classes: The class of each object that would be used.
        defects: The findings about it.
    """

    split: str | None
    usable: bool
    classes: tuple[int, ...]
    defects: tuple[Finding, ...]


@dataclass(frozen=True)
class SourceOverview:
    """What a source holds, as prepare would use it.

    Args:
        path: The folder or archive; several are separated by commas.
        form: Its format.
        task: The richest task that its annotations serve.
        names: Its classes.
        keypoints: The points of a pose.
        found: Images, and annotations without one.
        used: Images that can be used.
        images: Usable images in each split.
        backgrounds: Usable images without objects in each split.
        objects: Objects of each class in each split, by names.
        remarks: How the source was read, where the user should know.
        defects: Every finding, sorted by file.
        warnings: What may mislead a training, as in the report of prepare.
        use: The command that uses this source for all runs; empty if none can, as with some overrides.
        command: The command that runs the pipeline on it once.
        refusal: Why prepare would stop, and which value of conf/data avoids it; empty if it would not stop.
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
    warnings: tuple[BiasWarning, ...] = ()
    use: str = ""
    command: str = ""
    refusal: str = ""


class SourceDescription(NamedTuple):
    """How a source was read: what is known before any image is checked."""

    path: str
    form: str
    task: Task
    names: tuple[str, ...]
    keypoints: Keypoints | None
    remarks: tuple[str, ...]


def summarize_source(
    source: SourceDescription, inspected: Iterable[InspectedImage], elsewhere: Iterable[Finding]
) -> SourceOverview:
    """Count the images and findings of a source.

    Args:
        source: How it was read.
        inspected: Its images, one at a time; none is kept.
        elsewhere: Findings about other files.
    """
    found: list[Finding] = list(elsewhere)
    images: Counter[str] = Counter()
    backgrounds: Counter[str] = Counter()
    objects: Counter[tuple[str, int]] = Counter()
    for image in inspected:
        found += image.defects
        split = image.split or UNSPLIT
        images[split] += image.usable
        backgrounds[split] += image.usable and not image.classes
        objects.update((split, cls) for cls in image.classes)
    splits = [split for split in _SPLIT_ORDER if split in images]
    counts = count_items(found, used=images.total())
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


def format_json(overview: SourceOverview) -> str:
    """Format an overview as JSON."""
    values = asdict(overview)
    values["format"] = values.pop("form")
    values["defects"] = [defect._asdict() for defect in overview.defects]
    values["warnings"] = [warning._asdict() for warning in overview.warnings]
    return json.dumps(values, indent=2, ensure_ascii=needs_ascii_json(), allow_nan=False)


def format_text(overview: SourceOverview) -> Iterator[str]:
    """Format an overview as text, line by line."""
    total = sum(sum(counts.values()) for counts in overview.objects.values())
    yield f"{overview.path}"
    yield f"  format   {overview.form}"
    yield f"  task     {overview.task}"
    yield f"  images   {overview.used} of {overview.found} can be used"
    yield f"  objects  {total} of {format_count(len(overview.names), 'class')}"
    if overview.keypoints:
        yield f"  points   {', '.join(overview.keypoints.names)}"
    yield ""
    yield from _format_table(overview)
    for remark in overview.remarks:
        yield f"remark: {remark}"
    yield from _format_findings(overview.defects)
    if overview.refusal:
        yield f"prepare would stop: {overview.refusal}"
        return
    if overview.warnings or overview.command:
        yield from format_warning_lines(overview.warnings, REPORT_HINT)
    yield from _format_commands(overview)


def _format_commands(overview: SourceOverview) -> Iterator[str]:
    if not overview.command:
        return
    yield ""
    if overview.use:
        yield "to run the pipeline on it:"
        yield f"  {overview.use} && dvc repro"
        yield "or once, without a change of conf/:"
    else:
        yield "to run the pipeline on it once, without a change of conf/:"
    yield f"  {overview.command}"


def _format_table(overview: SourceOverview) -> Iterator[str]:
    splits = list(overview.images)
    rows = [("images", [overview.images[split] for split in splits])]
    rows += [("without objects", [overview.backgrounds[split] for split in splits])]
    totals = {name: sum(counts[name] for counts in overview.objects.values()) for name in overview.names}
    most_first = sorted(filter(totals.get, totals), key=lambda name: -totals[name])
    rows += [(name, [overview.objects[split][name] for split in splits]) for name in most_first]
    width = max(_count_columns(name) for name, _ in rows)
    yield "  ".join([" " * width, *(f"{split:>8}" for split in splits), f"{'all':>8}"])
    for name, numbers in rows:
        cells = "  ".join(f"{number:>8}" for number in (*numbers, sum(numbers)))
        yield f"{name}{' ' * (width - _count_columns(name))}  {cells}"
    if idle := [name for name in overview.names if not totals[name]]:
        yield f"no objects: {', '.join(idle)}"
    yield ""


def _count_columns(text: str) -> int:
    """Count terminal columns: Chinese characters take two, those that the terminal lacks become escapes."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in escape_unencodable(text))


def _format_findings(found: Sequence[Finding]) -> Iterator[str]:
    """Count the findings by verdict and kind; show the first of each."""
    tally = Counter((defect.verdict, defect.kind) for defect in found)
    yield f"findings: {len(found) or 'none'}"
    for (verdict, kind), number in sorted(tally.items(), key=lambda item: (item[0][0], -item[1])):
        yield f"  {verdict}: {kind}: {number}"
        first = [defect for defect in found if (defect.verdict, defect.kind) == (verdict, kind)][:_MAX_SHOWN]
        yield from (f"    {defect.file}: {defect.reason}" for defect in first)
        if number > len(first):
            yield f"    and {number - len(first)} more (--json lists them all)"

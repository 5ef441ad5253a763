"""The page data/prepared/report.html: a dataset version as a person should see it before training on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core import findings as core_defects
from pipeline.core.findings import Finding
from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import Manifest
from pipeline.prepare.report import charts, histograms, statistics, warnings
from pipeline.prepare.report.gallery import EXTREMES, GROUPS, PictureSource
from pipeline.prepare.report.histograms import commonest_sizes, per_image
from pipeline.prepare.report.statistics import DatasetColumns, ImageStatistics
from pipeline.storage import files
from pipeline.visualize import label_overlay
from pipeline.visualize.pages import render

FILE: Final = "report.html"
CLASSES: Final = 60
"""Rows of the table of classes; statistics.json has all of them."""

PAIRED: Final = 16
"""Classes in the table of what occurs together."""

PLACED: Final = 5
"""Classes with a heat map of their own."""


class ReportContent(NamedTuple):
    """What the page is about, beside the files of the prepared dataset.

    Attributes:
        name: What a person calls the source.
        manifest: Of the prepared dataset.
        images: One entry per image, in any order.
        defects: Every finding.
        remarks: On the source as a whole.
        root: The source folder, where what was not used can be seen; None where images are drawn.
        groups: Near duplicates, by their names in the source.
        shown: The most sample pictures.
        seed: Of their choice.
    """

    name: str
    manifest: Manifest
    images: Sequence[ImageStatistics]
    defects: Sequence[Finding]
    remarks: Sequence[str] = ()
    root: Path | None = None
    groups: Sequence[Sequence[str]] = ()
    shown: int = 12
    seed: int = 0


def write(folder: Path, content: ReportContent) -> None:
    """Write report.html, and samples/, into a prepared dataset that is complete but for them.

    The same dataset gives the same bytes: the page bears no date.
    """
    table = statistics.columns(content.images)
    shelf = PictureSource(folder, content.manifest, content.root)
    page = render.render(
        FILE,
        content=content,
        digest=content.manifest.digest,
        counts=core_defects.count(content.defects, used=len(content.images)),
        concerns=_by_kind(content, table),
        classes=_classes(content, table),
        hidden=max(len(content.manifest.names) - CLASSES, 0),
        boxes=content.manifest.task != "classify",
        **_figures(content, table),
        **_pictures(shelf, content, table),
    )
    files.write(folder / FILE, page)


def _by_kind(content: ReportContent, table: DatasetColumns) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for concern in warnings.concerns(table, content.manifest.names, content.manifest.task):
        found.setdefault(concern.kind, []).append(concern.text)
    return found


def _classes(content: ReportContent, table: DatasetColumns) -> list[dict[str, Any]]:
    """Describe each class, the commonest first."""
    splits = {split: Counter(table.of(split).classes.tolist()) for split in SPLITS}
    total = Counter(table.classes.tolist())
    names = content.manifest.names
    order = sorted(range(len(names)), key=lambda cls: (-total[cls], cls))[:CLASSES]
    most = max(total.values(), default=1)
    return [
        {
            "name": names[cls],
            "colour": "#{:02x}{:02x}{:02x}".format(*label_overlay.colour(cls)),
            "total": total[cls],
            "splits": {split: found[cls] for split, found in splits.items()},
            "widths": {split: found[cls] / most for split, found in splits.items()},
            "interval": warnings.interval(splits["test"][cls]) if splits["test"][cls] else None,
        }
        for cls in order
    ]


def _figures(content: ReportContent, table: DatasetColumns) -> dict[str, Any]:
    """Return the charts of images, and of objects if there are any, as the template calls them."""
    sharpness = histograms.sharpness(table)
    decades = round(sharpness.edges[-1] - sharpness.edges[0])
    of_images = {
        "splits": {split: len(table.of(split).splits) for split in SPLITS},
        "objects": {split: len(table.of(split).classes) for split in SPLITS},
        "backgrounds": int((table.per_image == 0).sum()),
        "image_sizes": commonest_sizes(table),
        "brightness": charts.lines(histograms.brightness(table), charts.percent, parts=5),
        "sharpness": charts.lines(sharpness, charts.power, parts=decades),
    }
    boxes = content.manifest.task != "classify" and len(table.classes)
    return of_images | (_of_objects(table, content.manifest.names) if boxes else {})


def _of_objects(table: DatasetColumns, names: Sequence[str]) -> dict[str, Any]:
    commonest = [cls for cls, _ in Counter(table.classes.tolist()).most_common(PAIRED)]
    places = {"all classes": table.boxes}
    if len(commonest) > 1:
        places |= {names[cls]: table.boxes[table.classes == cls] for cls in commonest[:PLACED]}
    heats = [(name, charts.heat(histograms.coverage(boxes), smooth=True)) for name, boxes in places.items()]
    return {
        "per_image": charts.bars(per_image(table), charts.whole),
        "sides": charts.bars(histograms.sides(table), charts.side),
        "tiny": histograms.tiny(table),
        "aspects": charts.bars(histograms.aspects(table), charts.ratio),
        "places": heats,
        "extents": charts.heat(histograms.extents(table.boxes), smooth=False),
        "together": charts.matrix(histograms.together(table, commonest), [names[cls] for cls in commonest]),
    }


def _pictures(shelf: PictureSource, content: ReportContent, table: DatasetColumns) -> dict[str, Any]:
    dark, bright = histograms.extremes(table.brightness, EXTREMES)
    soft, _ = histograms.extremes(table.sharpness, EXTREMES)
    rows = {"darkest": dark, "brightest": bright, "least sharp": soft}
    return {
        "samples": shelf.samples(content.shown, seed=content.seed),
        "extremes": {
            name: [shelf.used(content.images[index].source) for index in chosen]
            for name, chosen in rows.items()
            if chosen
        },
        "duplicates": [shelf.group(group) for group in content.groups[:GROUPS]],
        "found": shelf.defects(content.defects),
    }

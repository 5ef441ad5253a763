"""Write data/prepared/report.html: a page to check a dataset version before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.findings import Finding, count_items
from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import Manifest
from pipeline.prepare.report.charts import (
    build_bar_chart,
    build_co_occurrence_table,
    build_line_chart,
    draw_heat_map,
    label_aspect_ratio,
    label_integers,
    label_percent,
    label_pixels,
    label_power_of_ten,
)
from pipeline.prepare.report.gallery import MAX_DUPLICATE_GROUPS, MAX_EXTREME_IMAGES, PictureSource
from pipeline.prepare.report.histograms import (
    compute_tiny_shares,
    count_aspect_ratios,
    count_box_extents,
    count_brightness,
    count_cell_coverage,
    count_co_occurrence,
    count_image_sizes,
    count_object_sizes,
    count_objects_per_image,
    count_sharpness,
    find_extreme_images,
)
from pipeline.prepare.report.statistics import DatasetColumns, ImageStatistics, build_columns
from pipeline.prepare.report.warnings import compute_recall_interval, find_warnings
from pipeline.storage.files import write_file
from pipeline.visualize.label_overlay import get_class_color
from pipeline.visualize.pages.render import render_page

REPORT_FILE: Final = "report.html"
MAX_TABLE_CLASSES: Final = 60
"""Rows of the class table; statistics.json has all classes."""

MAX_CO_OCCURRENCE_CLASSES: Final = 16
"""Classes in the co-occurrence table."""

MAX_HEAT_MAP_CLASSES: Final = 5
"""Classes with their own heat map."""


class ReportContent(NamedTuple):
    """Contents of the page that are not in the files of the prepared dataset.

    Attributes:
        name: Readable name of the source.
        manifest: Manifest of the prepared dataset.
        images: Statistics of each image, in any order.
        defects: All findings.
        remarks: Remarks on the whole source.
        root: The source folder, for pictures of images that are not used; None if images were drawn.
        groups: Groups of near duplicates, by their names in the source.
        shown: Maximum number of sample pictures.
        seed: Seed of their choice.
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


def write_report(folder: Path, content: ReportContent) -> None:
    """Write report.html and samples/ into a prepared dataset that is otherwise complete.

    The same dataset gives the same bytes: the page has no date.
    """
    table = build_columns(content.images)
    pictures = PictureSource(folder, content.manifest, content.root)
    page = render_page(
        REPORT_FILE,
        content=content,
        digest=content.manifest.digest,
        counts=count_items(content.defects, used=len(content.images)),
        concerns=_group_warnings(content, table),
        classes=_describe_classes(content, table),
        hidden=max(len(content.manifest.names) - MAX_TABLE_CLASSES, 0),
        boxes=content.manifest.task != "classify",
        **_build_charts(content, table),
        **_draw_pictures(pictures, content, table),
    )
    write_file(folder / REPORT_FILE, page)


def _group_warnings(content: ReportContent, table: DatasetColumns) -> dict[str, list[str]]:
    """Return the texts of all warnings by kind."""
    texts: dict[str, list[str]] = {}
    for warning in find_warnings(table, content.manifest.names, content.manifest.task):
        texts.setdefault(warning.kind, []).append(warning.text)
    return texts


def _describe_classes(content: ReportContent, table: DatasetColumns) -> list[dict[str, Any]]:
    """Describe each class, the most frequent first."""
    counts = {split: Counter(table.select_split(split).classes.tolist()) for split in SPLITS}
    total = Counter(table.classes.tolist())
    names = content.manifest.names
    order = sorted(range(len(names)), key=lambda cls: (-total[cls], cls))[:MAX_TABLE_CLASSES]
    most = max(total.values(), default=1)
    return [
        {
            "name": names[cls],
            "colour": "#{:02x}{:02x}{:02x}".format(*get_class_color(cls)),
            "total": total[cls],
            "splits": {split: count[cls] for split, count in counts.items()},
            "widths": {split: count[cls] / most for split, count in counts.items()},
            "interval": compute_recall_interval(counts["test"][cls]) if counts["test"][cls] else None,
        }
        for cls in order
    ]


def _build_charts(content: ReportContent, table: DatasetColumns) -> dict[str, Any]:
    """Return the charts of images, and of objects if there are any, by their names in the template."""
    sharpness = count_sharpness(table)
    decades = round(sharpness.edges[-1] - sharpness.edges[0])
    image_charts = {
        "splits": {split: len(table.select_split(split).splits) for split in SPLITS},
        "objects": {split: len(table.select_split(split).classes) for split in SPLITS},
        "backgrounds": int((table.objects_per_image == 0).sum()),
        "image_sizes": count_image_sizes(table),
        "brightness": build_line_chart(count_brightness(table), label_percent, parts=5),
        "sharpness": build_line_chart(sharpness, label_power_of_ten, parts=decades),
    }
    boxes = content.manifest.task != "classify" and len(table.classes)
    return image_charts | (_build_object_charts(table, content.manifest.names) if boxes else {})


def _build_object_charts(table: DatasetColumns, names: Sequence[str]) -> dict[str, Any]:
    """Return the charts of objects by their names in the template."""
    frequent = [cls for cls, _ in Counter(table.classes.tolist()).most_common(MAX_CO_OCCURRENCE_CLASSES)]
    boxes_by_name = {"all classes": table.boxes}
    if len(frequent) > 1:
        boxes_by_name |= {
            names[cls]: table.boxes[table.classes == cls] for cls in frequent[:MAX_HEAT_MAP_CLASSES]
        }
    heat_maps = [
        (name, draw_heat_map(count_cell_coverage(boxes), smooth=True))
        for name, boxes in boxes_by_name.items()
    ]
    return {
        "per_image": build_bar_chart(count_objects_per_image(table), label_integers),
        "sides": build_bar_chart(count_object_sizes(table), label_pixels),
        "tiny": compute_tiny_shares(table),
        "aspects": build_bar_chart(count_aspect_ratios(table), label_aspect_ratio),
        "places": heat_maps,
        "extents": draw_heat_map(count_box_extents(table.boxes), smooth=False),
        "together": build_co_occurrence_table(
            count_co_occurrence(table, frequent), [names[cls] for cls in frequent]
        ),
    }


def _draw_pictures(pictures: PictureSource, content: ReportContent, table: DatasetColumns) -> dict[str, Any]:
    dark, bright = find_extreme_images(table.brightness, MAX_EXTREME_IMAGES)
    soft, _ = find_extreme_images(table.sharpness, MAX_EXTREME_IMAGES)
    rows = {"darkest": dark, "brightest": bright, "least sharp": soft}
    return {
        "samples": pictures.draw_samples(content.shown, seed=content.seed),
        "extremes": {
            name: [pictures.draw_image(content.images[index].source) for index in chosen]
            for name, chosen in rows.items()
            if chosen
        },
        "duplicates": [
            pictures.draw_duplicate_group(group) for group in content.groups[:MAX_DUPLICATE_GROUPS]
        ],
        "found": pictures.draw_findings(content.defects),
    }

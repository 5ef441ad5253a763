"""The charts of the dataset report: which are shown, and of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import Manifest
from pipeline.prepare.report.chart_kinds import (
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
)
from pipeline.prepare.report.statistics import DatasetColumns

MAX_CO_OCCURRENCE_CLASSES: Final = 16
"""Classes in the co-occurrence table."""

MAX_HEAT_MAP_CLASSES: Final = 5
"""Classes with their own heat map."""


def build_report_charts(manifest: Manifest, table: DatasetColumns) -> dict[str, Any]:
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
    boxes = manifest.task != "classify" and len(table.classes)
    return image_charts | (_build_object_charts(table, manifest.names) if boxes else {})


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

"""Write data/prepared/report.html: a page to check a dataset version before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.findings import Finding, count_items
from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import Manifest
from pipeline.prepare.report.charts import build_report_charts
from pipeline.prepare.report.gallery import MAX_DUPLICATE_GROUPS, MAX_EXTREME_IMAGES, PictureSource
from pipeline.prepare.report.histograms import DEFAULT_IMGSZ, find_extreme_images
from pipeline.prepare.report.statistics import DatasetColumns, ImageStatistics, build_columns
from pipeline.prepare.report.warning_lines import REPORT_FILE
from pipeline.prepare.report.warnings import (
    BiasWarning,
    compute_recall_interval,
    find_unlabelled_images,
    find_warnings,
    judge_tiny_objects,
)
from pipeline.storage.files import write_file
from pipeline.visualize.label_overlay import get_class_color
from pipeline.visualize.pages.render import render_page

MAX_TABLE_CLASSES: Final = 60
"""Rows of the class table; statistics.json has all classes."""


class ReportContent(NamedTuple):
    """Contents of the page that are not in the files of the prepared dataset.

    Attributes:
        name: Readable name of the source.
        manifest: Manifest of the prepared dataset.
        images: Statistics of each image, in any order.
        defects: All findings.
        remarks: Remarks on the whole source.
        roots: The source folders by the names that image names start with, for pictures of images that are
            not used; a single one has the name ""; empty if images were drawn.
        groups: Groups of near duplicates, by their names in the source.
        shown: Maximum number of sample pictures.
        seed: Seed of their choice.
        left_out: Number of images that data.fraction leaves out; findings may be of them, too.
    """

    name: str
    manifest: Manifest
    images: Sequence[ImageStatistics]
    defects: Sequence[Finding]
    remarks: Sequence[str] = ()
    roots: Mapping[str, Path] = {}
    groups: Sequence[Sequence[str]] = ()
    shown: int = 12
    seed: int = 0
    left_out: int = 0


def write_report(
    folder: Path, content: ReportContent, *, imgsz: int | None = DEFAULT_IMGSZ
) -> list[BiasWarning]:
    """Write report.html and samples/ into a prepared dataset that is otherwise complete.

    The same dataset gives the same bytes: the page has no date, and depends on no training.

    Args:
        folder: The prepared dataset.
        content: What its files do not say.
        imgsz: The size that images are trained at now, None where the training chooses it; the page is about
            trainings at any size.

    Returns:
        The warnings about a training at `imgsz`.
    """
    table = build_columns(content.images)
    warnings = find_warnings(table, content.manifest.names, content.manifest.task)
    pictures = PictureSource(folder, content.manifest, content.roots)
    page = render_page(
        REPORT_FILE,
        content=content,
        digest=content.manifest.digest,
        counts=count_items(content.defects, used=len(content.images)),
        concerns=_group_warnings(content, warnings),
        classes=_describe_classes(content, table),
        hidden=max(len(content.manifest.names) - MAX_TABLE_CLASSES, 0),
        boxes=content.manifest.task != "classify",
        **build_report_charts(content.manifest, table),
        **_draw_pictures(pictures, content, table),
    )
    write_file(folder / REPORT_FILE, page)
    return judge_tiny_objects(warnings, table, content.manifest.task, imgsz=imgsz)


def _group_warnings(content: ReportContent, warnings: Sequence[BiasWarning]) -> dict[str, list[str]]:
    """Return the texts of all warnings by kind."""
    texts: dict[str, list[str]] = {}
    images = count_items(content.defects, used=len(content.images)).found + content.left_out
    for warning in [*find_unlabelled_images(content.defects, images), *warnings]:
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

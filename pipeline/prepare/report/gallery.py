"""Pictures of the report, each with its caption: samples, extremes, near duplicates, findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from pipeline.core.arrays import ImageArray
from pipeline.core.findings import Finding
from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.prepare.report.safe_thumbnails import read_thumbnail
from pipeline.prepare.report.samples import draw_labeled_image, write_samples
from pipeline.visualize.pages.render import encode_data_uri

LARGE_PIXELS: Final = 560
SMALL_PIXELS: Final = 260
"""Longer sides of sample pictures, and of all others."""

MAX_EXTREME_IMAGES: Final = 6
MAX_DUPLICATE_GROUPS: Final = 12
MAX_GROUP_IMAGES: Final = 6
"""Near duplicates shown: groups, and images of each group."""

MAX_FINDINGS_PER_KIND: Final = 8
MAX_FINDINGS: Final = 240
"""Findings shown: of each kind, and in all; the page must still open with 100,000 bad images."""


class ReportPicture(NamedTuple):
    """One picture on the page.

    Attributes:
        uri: A data URI; empty if there is no picture.
        name: The file's name in the source.
        split: train, val or test; empty if the image is not used.
        note: The text below it.
    """

    uri: str
    name: str
    split: str = ""
    note: str = ""


class FindingGroup(NamedTuple):
    """The findings of one kind: all are counted, the first are shown."""

    verdict: str
    kind: str
    findings: int
    shown: list[ReportPicture]


class DuplicateGroup(NamedTuple):
    """A group of near duplicates: all are counted, the first are shown."""

    images: int
    splits: list[str]
    shown: list[ReportPicture]


class PictureSource:
    """Draw pictures of the report from the prepared dataset, or from the source for images that are not used.

    Args:
        folder: The prepared dataset.
        manifest: Its manifest.
        roots: The source folders, as in `ReportContent`.
    """

    def __init__(self, folder: Path, manifest: Manifest, roots: Mapping[str, Path]) -> None:
        self._folder = folder
        self._manifest = manifest
        self._roots = roots
        self._items = {item.source: item for item in manifest.items}

    def draw_samples(self, count: int, *, seed: int) -> list[ReportPicture]:
        """Write sample pictures of train images with their labels, and return them for the page."""
        samples = write_samples(self._folder, self._manifest, count=count, seed=seed)
        return [
            _build_picture(item, image, LARGE_PIXELS, self._count_classes(item)) for item, image in samples
        ]

    def draw_image(self, source: str, note: str = "") -> ReportPicture:
        """Return a small picture of an image of the dataset with its labels."""
        item = self._items[source]
        return _build_picture(
            item, draw_labeled_image(self._folder, item, self._manifest), SMALL_PIXELS, note
        )

    def draw_duplicate_group(self, group: Sequence[str]) -> DuplicateGroup:
        """Return the pictures of a group of near duplicates."""
        used = [source for source in group if source in self._items]
        splits = sorted({self._items[source].split for source in used}, key=SPLITS.index)
        shown = [self.draw_image(source) for source in used[:MAX_GROUP_IMAGES]]
        return DuplicateGroup(len(group), splits, shown)

    def draw_findings(self, findings: Iterable[Finding]) -> list[FindingGroup]:
        """Group findings by verdict and kind: the most severe verdict first, then the most frequent kind."""
        kinds: dict[tuple[str, str], list[Finding]] = {}
        for finding in sorted(findings):
            kinds.setdefault((finding.verdict, finding.kind), []).append(finding)
        order = sorted(kinds, key=lambda key: (_SEVERITY.index(key[0]), -len(kinds[key]), key))
        left, groups = MAX_FINDINGS, []
        for verdict, kind in order:
            chosen = kinds[verdict, kind][: min(MAX_FINDINGS_PER_KIND, left)]
            left -= len(chosen)
            shown = [self._draw_finding(finding) for finding in chosen]
            groups.append(FindingGroup(verdict, kind, len(kinds[verdict, kind]), shown))
        return groups

    def _draw_finding(self, finding: Finding) -> ReportPicture:
        if finding.file in self._items:
            return self.draw_image(finding.file, finding.reason)
        thumbnail = self._read_source_thumbnail(finding.file)
        uri = "" if thumbnail is None else encode_data_uri(thumbnail)
        return ReportPicture(uri, finding.file, "", finding.reason)

    def _read_source_thumbnail(self, name: str) -> ImageArray | None:
        if "" in self._roots:
            return read_thumbnail(name, self._roots[""], SMALL_PIXELS)
        origin, _, inner = name.partition("/")
        return read_thumbnail(inner, self._roots[origin], SMALL_PIXELS) if origin in self._roots else None

    def _count_classes(self, item: ImageRecord) -> str:
        """Return the number of objects of each class; for classification, the class of the image."""
        counts = Counter(self._manifest.names[cls] for cls in item.classes)
        if self._manifest.task == "classify":
            return ", ".join(counts)
        return ", ".join(f"{count} × {name}" for name, count in counts.most_common()) or "no object"


_SEVERITY: Final = ("quarantined", "dropped-object", "fixed", "noted")


def _build_picture(item: ImageRecord, image: ImageArray, side: int, note: str) -> ReportPicture:
    return ReportPicture(encode_data_uri(_downscale(image, side)), item.source, item.split, note)


def _downscale(image: ImageArray, side: int) -> ImageArray:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

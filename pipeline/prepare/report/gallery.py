"""The pictures of the report: samples, near duplicates, defects, each with its caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from pipeline.core.arrays import ImageArray
from pipeline.core.findings import Finding
from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.prepare.report import safe_thumbnails
from pipeline.prepare.report import samples as edges_samples
from pipeline.visualize.pages.render import data_uri

LARGE: Final = 560
SMALL: Final = 260
EXTREMES: Final = 6
GROUPS: Final = 12
GROUP: Final = 6
"""Near duplicates shown: groups, and images of each."""

OF_A_KIND: Final = 8
PICTURED: Final = 240
"""Defects shown: of each kind, and in all; a page for 100,000 bad images must still open."""


class ReportPicture(NamedTuple):
    """One picture on the page.

    Attributes:
        uri: A data URI; empty where there is nothing to see.
        name: The file's name in the source.
        split: train, val or test; empty where it is not used.
        note: What is said below it.
    """

    uri: str
    name: str
    split: str = ""
    note: str = ""


class FindingGroup(NamedTuple):
    """The defects of one kind: all are counted, the first are shown."""

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
    """Where pictures are taken from: the prepared dataset, and the source for what is not in it."""

    def __init__(self, folder: Path, manifest: Manifest, root: Path | None) -> None:
        self._folder = folder
        self._manifest = manifest
        self._root = root
        self._items = {item.source: item for item in manifest.items}

    def samples(self, count: int, *, seed: int) -> list[ReportPicture]:
        """Write sample pictures of train images with their labels, and show them."""
        drawn = edges_samples.write(self._folder, self._manifest, count=count, seed=seed)
        return [_picture(item, picture, LARGE, self._named(item)) for item, picture in drawn]

    def used(self, source: str, note: str = "") -> ReportPicture:
        """Show an image of the dataset with its labels, small."""
        item = self._items[source]
        return _picture(item, edges_samples.picture(self._folder, item, self._manifest), SMALL, note)

    def group(self, group: Sequence[str]) -> DuplicateGroup:
        """Show near duplicates side by side."""
        known = [source for source in group if source in self._items]
        splits = sorted({self._items[source].split for source in known}, key=SPLITS.index)
        return DuplicateGroup(len(group), splits, [self.used(source) for source in known[:GROUP]])

    def defects(self, found: Iterable[Finding]) -> list[FindingGroup]:
        """Show defects by verdict and kind, the gravest verdict and the commonest kind first."""
        kinds: dict[tuple[str, str], list[Finding]] = {}
        for defect in sorted(found):
            kinds.setdefault((defect.verdict, defect.kind), []).append(defect)
        order = sorted(kinds, key=lambda key: (_GRAVITY.index(key[0]), -len(kinds[key]), key))
        left, shelf = PICTURED, []
        for verdict, kind in order:
            chosen = kinds[verdict, kind][: min(OF_A_KIND, left)]
            left -= len(chosen)
            shown = [self._defect(defect) for defect in chosen]
            shelf.append(FindingGroup(verdict, kind, len(kinds[verdict, kind]), shown))
        return shelf

    def _defect(self, defect: Finding) -> ReportPicture:
        if defect.file in self._items:
            return self.used(defect.file, defect.reason)
        seen = safe_thumbnails.read(defect.file, self._root, SMALL) if self._root else None
        return ReportPicture("" if seen is None else data_uri(seen), defect.file, "", defect.reason)

    def _named(self, item: ImageRecord) -> str:
        """Count an image's objects by class; name the class of an image that has one as a whole."""
        counts = Counter(self._manifest.names[cls] for cls in item.classes)
        if self._manifest.task == "classify":
            return ", ".join(counts)
        return ", ".join(f"{count} × {name}" for name, count in counts.most_common()) or "no object"


def _picture(item: ImageRecord, drawn: ImageArray, side: int, note: str) -> ReportPicture:
    return ReportPicture(data_uri(_shrunk(drawn, side)), item.source, item.split, note)


_GRAVITY: Final = ("quarantined", "dropped-object", "fixed", "noted")


def _shrunk(picture: ImageArray, side: int) -> ImageArray:
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

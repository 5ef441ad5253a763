"""`python -m pipeline preview [OVERRIDE ...]`: what a configuration's augmentation does, as pictures.

    python -m pipeline preview
    python -m pipeline preview augment=strong augment.offline.rotate=20

The train images of data/prepared, as they lie there, are shown beside the very copies that `augment` would
draw of them, and as Ultralytics' online augmentation would show them to the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from pipeline import compose
from pipeline.config import Config
from pipeline.core import layout
from pipeline.core.labels import Labels
from pipeline.core.manifest import Manifest
from pipeline.core.refusal import Refused
from pipeline.edges import contact_sheets, copying, dataset, files, pictures
from pipeline.edges.pictures import Pixels
from pipeline.stages import augment

USAGE = "preview [OVERRIDE ...]"

ORIGINALS, ONLINE = 8, 16
"""Train images whose copies are shown, and images as the network would get them."""


def run(arguments: Sequence[str]) -> list[str]:
    """Write contact sheets to reports/preview, in place of those that were there.

    Args:
        arguments: Hydra overrides.

    Returns:
        What to print.

    Raises:
        Refused: A configuration that cannot run, or there are no prepared images.
    """
    if any(word.startswith("-") for word in arguments):
        raise Refused(f"say what to show: python -m pipeline {USAGE}, such as augment=strong")
    config = compose.planned(arguments)
    manifest = dataset.read_manifest(layout.PREPARED, contents=False)
    if not manifest.of("train"):
        raise Refused(f"{layout.PREPARED} has no train images to show: give data.split.train a share")
    with files.folder_in_one_piece(layout.PREVIEW) as folder:
        offline, online = _offline(config, manifest, folder), _online(config, manifest, folder)
    return [
        f"offline copies (augment.offline.*): {_told(offline)}",
        f"online augmentation (augment.online.*), at finetune.imgsz={config.finetune.imgsz}: {_told(online)}",
    ]


def _told(sheets: Sequence[Path]) -> str:
    return ", ".join(str(layout.PREVIEW / sheet.name) for sheet in sheets) or "none, for multiplier=1"


def _offline(config: Config, manifest: Manifest, folder: Path) -> list[Path]:
    """Draw originals beside their first copies."""
    if config.augment.offline.multiplier == 1:
        return []
    todo, rules = augment.plan(manifest, config.augment.offline, seed=config.seed)
    families = [list(family) for _, family in groupby(todo, key=lambda job: job.item.file)]

    rows = []
    for family in contact_sheets.spread(families, ORIGINALS):
        drawn = (copying.one(job, layout.PREPARED, rules) for job in family[: contact_sheets.COPIES])
        copies = [_tile(copy.image, copy.draft.labels, manifest) for copy in drawn]
        rows.append([contact_sheets.tile(layout.PREPARED, family[0].item.file, manifest), *copies])
    return contact_sheets.save(rows, folder, "offline")


def _online(config: Config, manifest: Manifest, folder: Path) -> list[Path]:
    """Draw images as the network would get them."""
    from pipeline.edges.yolo import batches  # torch: after everything that may be refused
    from pipeline.stages import finetune

    shown = replace(manifest, names=("item",)) if config.finetune.single_cls else manifest
    found = batches.seen(layout.PREPARED, manifest, arguments=finetune.arguments(config), count=ONLINE)
    tiles = [_tile(image, marked, shown) for image, marked in found]
    columns = 1 + contact_sheets.COPIES
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    return contact_sheets.save(rows, folder, "online")


def _tile(image: Pixels, marked: Labels, manifest: Manifest) -> Pixels:
    return pictures.label(image, marked, manifest.names, manifest.keypoints, side=contact_sheets.TILE)

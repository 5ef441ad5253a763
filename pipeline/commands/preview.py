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

from pipeline.augment import contact_sheets, generate
from pipeline.augment import stage as augment_stage
from pipeline.augment.contact_sheets import COPIES, TILE
from pipeline.compose import stage
from pipeline.config.schema import Config
from pipeline.core.arrays import ImageArray
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED, PREVIEW
from pipeline.dataset.labels import ImageLabels
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.source.reading.trace_mask import trace
from pipeline.storage.files import folder_in_one_piece
from pipeline.visualize import label_overlay

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
        raise UserError(f"say what to show: python -m pipeline {USAGE}, such as augment=strong")
    config = stage.planned(arguments)
    manifest = read_manifest(PREPARED, contents=False)
    if not manifest.of("train"):
        raise UserError(f"{PREPARED} has no train images to show: give data.split.train a share")
    with folder_in_one_piece(PREVIEW) as folder:
        offline, online = _offline(config, manifest, folder), _online(config, manifest, folder)
    return [
        f"offline copies (augment.offline.*): {_told(offline)}",
        f"online augmentation (augment.online.*), at finetune.imgsz={config.finetune.imgsz}: {_told(online)}",
    ]


def _told(sheets: Sequence[Path]) -> str:
    return ", ".join(str(PREVIEW / sheet.name) for sheet in sheets) or "none, for multiplier=1"


def _offline(config: Config, manifest: Manifest, folder: Path) -> list[Path]:
    """Draw originals beside their first copies."""
    if config.augment.offline.multiplier == 1:
        return []
    todo, rules = augment_stage.plan(manifest, config.augment.offline, seed=config.seed)
    families = [list(family) for _, family in groupby(todo, key=lambda job: job.item.file)]

    rows = []
    for family in contact_sheets.spread(families, ORIGINALS):
        drawn = (generate.one(job, PREPARED, rules) for job in family[:COPIES])
        copies = [_tile(copy.image, copy.draft.labels, manifest) for copy in drawn]
        rows.append([contact_sheets.tile(PREPARED, family[0].item.file, manifest), *copies])
    return contact_sheets.save(rows, folder, "offline")


def _online(config: Config, manifest: Manifest, folder: Path) -> list[Path]:
    """Draw images as the network would get them."""
    from pipeline.finetune import stage as finetune_stage
    from pipeline.yolo.training import preview_batches  # torch: after everything that may be refused

    shown = replace(manifest, names=("item",)) if config.finetune.single_cls else manifest
    found = preview_batches.seen(
        PREPARED,
        manifest,
        arguments=finetune_stage.arguments(config),
        count=ONLINE,
        trace_mask=lambda mask: trace(mask).parts,
    )
    tiles = [_tile(image, marked, shown) for image, marked in found]
    columns = 1 + COPIES
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    return contact_sheets.save(rows, folder, "online")


def _tile(image: ImageArray, marked: ImageLabels, manifest: Manifest) -> ImageArray:
    return label_overlay.label(image, marked, manifest.names, manifest.keypoints, side=TILE)

"""Draw contact sheets of what a configuration's augmentation does (`finetrack preview`).

The train images of data/prepared are shown beside the copies that `augment` would write, and as Ultralytics'
online augmentation would give them to the network.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from pipeline.augment.contact_sheets import (
    MAX_COPIES_PER_ROW,
    TILE_PIXELS,
    draw_labeled_tile,
    save_sheets,
    select_evenly,
)
from pipeline.augment.generate import generate_copy
from pipeline.augment.stage import plan_copies
from pipeline.compose.stage import plan_config
from pipeline.config.override_text import expand_home_in_override
from pipeline.config.schema import Config
from pipeline.config.set_image_size import set_automatic_size
from pipeline.core.arrays import ImageArray
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER, PREVIEW_FOLDER
from pipeline.dataset.labels import ImageLabels
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.finetune.automatic.resolve_values import resolve_image_size
from pipeline.storage.files import write_folder
from pipeline.visualize.label_overlay import draw_label_overlay

ORIGINALS, ONLINE = 8, 16
"""How many train images are shown with copies, and how many as the network would get them."""


def run_command(arguments: Namespace) -> list[str]:
    """Write contact sheets to reports/preview, replacing earlier ones.

    Args:
        arguments: `overrides`, Hydra overrides.

    Returns:
        The lines to print.

    Raises:
        UserError: The configuration cannot run, or there are no prepared images.
    """
    config = plan_config([expand_home_in_override(word) for word in arguments.overrides])
    manifest = read_manifest(PREPARED_FOLDER, verify_files=False)
    if not manifest.in_split("train"):
        raise UserError(f"{PREPARED_FOLDER} has no train images to show: give data.split.train a share")
    config = set_automatic_size(config, lambda: resolve_image_size(manifest, PREPARED_FOLDER).pixels)
    _check_arguments(config, manifest)
    with write_folder(PREVIEW_FOLDER) as folder:
        offline, online = _draw_offline(config, manifest, folder), _draw_online(config, manifest, folder)
    return [
        f"offline copies (augment.offline.*): {_list_sheets(offline)}",
        f"online augmentation (augment.online.*), at finetune.imgsz={config.finetune.imgsz}: "
        f"{_list_sheets(online)}",
    ]


def _check_arguments(config: Config, manifest: Manifest) -> None:
    """Refuse what a training of these images would refuse."""
    from pipeline.finetune.stage import collect_train_arguments
    from pipeline.yolo.errors import check_task_arguments

    check_task_arguments(collect_train_arguments(config), manifest.task)


def _list_sheets(sheets: Sequence[Path]) -> str:
    return ", ".join(str(PREVIEW_FOLDER / sheet.name) for sheet in sheets) or "none, for multiplier=1"


def _draw_offline(config: Config, manifest: Manifest, folder: Path) -> list[Path]:
    """Draw train images beside their first copies."""
    if config.augment.offline.multiplier == 1:
        return []
    todo, rules = plan_copies(manifest, config.augment.offline, seed=config.seed)
    families = [list(family) for _, family in groupby(todo, key=lambda job: job.item.file)]

    rows = []
    for family in select_evenly(families, ORIGINALS):
        drawn = (generate_copy(job, PREPARED_FOLDER, rules) for job in family[:MAX_COPIES_PER_ROW])
        copies = [_tile(copy.image, copy.plan.labels, manifest) for copy in drawn]
        rows.append([draw_labeled_tile(PREPARED_FOLDER, family[0].item.file, manifest), *copies])
    return save_sheets(rows, folder, "offline")


def _draw_online(config: Config, manifest: Manifest, folder: Path) -> list[Path]:
    """Draw images as the network would get them."""
    from pipeline.finetune.stage import collect_train_arguments
    from pipeline.yolo.training.preview_batches import iterate_train_samples

    shown = replace(manifest, names=("item",)) if config.finetune.single_cls else manifest
    found = iterate_train_samples(
        PREPARED_FOLDER,
        manifest,
        arguments=collect_train_arguments(config),
        count=ONLINE,
    )
    tiles = [_tile(image, marked, shown) for image, marked in found]
    columns = 1 + MAX_COPIES_PER_ROW
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    return save_sheets(rows, folder, "online")


def _tile(image: ImageArray, marked: ImageLabels, manifest: Manifest) -> ImageArray:
    return draw_label_overlay(image, marked, manifest.names, manifest.keypoints, side=TILE_PIXELS)

"""Measure whether small objects are found better by training on tiles than on whole images.

    python benchmarks/tiles.py --deeppcb DIR --weights DIR [--sets deeppcb] [--bases yolov8n] [--seeds 2]
        [--pixels 320] [--epochs 20] [--jobs 2]

The train and val images of a data set are split anew in train, val and held-out images (the seed draws them,
too; the data set's test images are not used). A tile has the side --pixels; tiles to train on have nothing in
common, those to find objects on overlap by a fifth. Whole images are trained on at --pixels, and at twice as
many; in images of twice the side, an epoch of tiles then has as many pixels as one of those. Val chooses the
epoch, the held-out images judge. Results are kept in benchmarks/tiles.csv, each with its commit.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Final, NamedTuple

import cells
import epoch_choice
import numpy as np
import recipes
from cells import Cell, Terms
from omegaconf import OmegaConf
from PIL import Image
from rare_class import format_gain, format_mean
from result_rows import append_row, read_rows

from pipeline.core.tiles.plan_tiles import Tile, plan_tiles
from pipeline.dataset.labels import (
    ImageLabels,
    format_labels,
    parse_labels,
    xywhn_to_xyxy,
    xyxy_to_xywhn,
)
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest

RESULTS: Final = Path(__file__).with_name("tiles.csv")
VISIBLE: Final = 0.3
"""An object is on a tile that shows at least this share of its box, as in `augment.offline.visible`."""
FIXED: Final = ("data=yolo", "data.keep_split=true", "data.near_duplicates=false", "data.on_leak=allow")
"""Tiles without an object may be equal."""
FIXED_TRAINING: Final = ("finetune.patience=0", "finetune.threads=1")
WHOLE: Final = "whole"
ON_TILES: Final = "whole, tested on tiles"
RECIPES: Final = {
    WHOLE: "finetune.imgsz={side}",
    "whole, 4 times the epochs": "finetune.imgsz={side} finetune.epochs={more}",
    "whole, twice the pixels": "finetune.imgsz={double}",
    "tiles": "finetune.imgsz={side} evaluate.tile={side}",
}
"""What each changes; {side}, {double}: pixels, {more}: four times the epochs."""


class Result(NamedTuple):
    """What a training gave on the held-out images.

    Attributes:
        data: The data set.
        base: The base weights.
        recipe: Of `RECIPES`, or `ON_TILES`.
        seed: Of the split and the training.
        side: Of a tile, in pixels.
        epochs: Of all trainings but the one with more.
        accuracy: mAP50-95.
        seconds: Of the training; 0 where it was another one's.
        images: That the training had.
        commit: The first characters of the project's commit.
    """

    data: str
    base: str
    recipe: str
    seed: int
    side: int
    epochs: int
    accuracy: float
    seconds: float
    images: int
    commit: str


def main() -> None:
    """Train what has no result, and print a table."""
    asked = recipes.parse_common_arguments(__doc__)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    terms = recipes.build_terms(asked)
    terms = terms._replace(cells=asked.folder.resolve() / f"tiles-{terms.imgsz}-{terms.epochs}")
    wanted = product(range(asked.seeds), (asked.sets or "deeppcb").split(","), asked.bases.split(","))
    groups = [Cell(data, base, "full", seed) for seed, data, base in wanted]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for cell in pool.map(lambda cell: _run_or_tell(cell, terms), groups):
            print(f"{cell.name}: done", flush=True)
    print(render([result for result in read_results() if result[4:6] == (asked.pixels, asked.epochs)]))


def _run_or_tell(cell: Cell, terms: Terms) -> Cell:
    try:
        run(cell, terms)
    except SystemExit as error:
        print(error, flush=True)
    return cell


def run(cell: Cell, terms: Terms) -> None:
    """Train the recipes of a data set, base and seed that have no result."""
    known = {result[:6] for result in read_results()}
    side = terms.imgsz or 320
    values = {"side": side, "double": 2 * side, "more": 4 * terms.epochs}
    for recipe, changes in RECIPES.items():
        key = (cell.data, cell.base, recipe, cell.seed, side, terms.epochs)
        if key in known:
            continue
        source = create_source(cell, terms, tiled=recipe == "tiles")
        own = changes.format(**values).split()
        place = terms.cells / recipe.replace(",", "").replace(" ", "-")
        all_changes = (*FIXED, *FIXED_TRAINING, f"data.source={source}", *own)
        folder = cells.begin(cell, terms._replace(cells=place, changes=all_changes))
        spent = [cells.stage(folder, stage) for stage in ("prepare", "augment", "finetune", "evaluate")][2]
        metrics = json.loads((folder / "reports/metrics.json").read_text("utf-8"))["test"]
        record_result(folder, key, metrics["mAP50-95"], spent["wall"])
        if recipe == WHOLE:
            record_result(folder, (*key[:2], ON_TILES, *key[3:]), measure_on_tiles(folder, side), 0.0)
        shutil.rmtree(folder / "models")


def create_source(cell: Cell, terms: Terms, *, tiled: bool) -> Path:
    """Write a dataset with train, val and held-out images; of train and val their tiles, if `tiled`."""
    target = terms.cells / "sources" / f"{cell.name}-{'tiles' if tiled else 'whole'}"
    if not target.exists():
        prepared = epoch_choice.split_anew(cell, terms)
        manifest = read_manifest(prepared)
        held_out = manifest.in_split("test")
        learned = [*manifest.in_split("train"), *manifest.in_split("val")]
        beginning = target.with_name(f"{target.name}-unfinished")
        cells.copy_dataset(prepared, held_out if tiled else [*learned, *held_out], beginning)
        if tiled:
            write_tiles(prepared, learned, beginning, side=terms.imgsz or 320)
            _name_splits(beginning, manifest)
        beginning.rename(target)
    return target


def _name_splits(dataset: Path, manifest: Manifest) -> None:
    splits = {split: f"images/{split}" for split in ("train", "val", "test")}
    text = json.dumps({**splits, "names": dict(enumerate(manifest.names))}, allow_nan=False)  # JSON is YAML
    (dataset / "data.yaml").write_text(text, "utf-8")


def write_tiles(prepared: Path, items: Sequence[ImageRecord], target: Path, *, side: int) -> None:
    """Write the tiles of images, and the labels of each, into the folders of their splits.

    Args:
        prepared: The folder of the prepared dataset.
        items: The images.
        target: The dataset that gets the tiles.
        side: Of a tile, in pixels.
    """
    for item in items:
        labels = parse_labels((prepared / "labels" / item.label_file).read_text("utf-8"))
        with Image.open(prepared / "images" / item.file) as image:
            for number, (tile, own) in enumerate(cut_labels(labels, image.size, side)):
                name = f"{item.label_file.removesuffix('.txt')}-{number}"
                for kind in ("images", "labels"):
                    (target / kind / name).parent.mkdir(parents=True, exist_ok=True)
                image.crop(tile).save(target / "images" / f"{name}.png")
                (target / "labels" / f"{name}.txt").write_text(format_labels(own), "utf-8")


def cut_labels(labels: ImageLabels, size: tuple[int, int], side: int) -> Iterator[tuple[Tile, ImageLabels]]:
    """Yield the tiles of an image that have nothing in common, and the objects on each.

    Args:
        labels: The boxes of the image.
        size: Its width and height in pixels.
        side: Of a tile, in pixels; an image whose sides are no multiples of it has tiles that overlap.
    """
    corners = xywhn_to_xyxy(labels.boxes, *size)
    areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    for tile in plan_tiles(size, side, 0.0):
        inside = np.clip(corners, tile[:2] * 2, tile[2:] * 2)
        shown = (inside[:, 2:] - inside[:, :2]).prod(axis=1)
        chosen = (shown > 0) & (shown >= VISIBLE * areas)
        moved = inside[chosen] - np.array(tile[:2] * 2)
        boxes = xyxy_to_xywhn(moved, tile.right - tile.left, tile.bottom - tile.top)
        yield tile, ImageLabels(labels.classes[chosen], boxes)


def measure_on_tiles(folder: Path, side: int) -> float:
    """Return the mAP50-95 on the held-out images of the model in a folder, which finds objects on tiles."""
    config = OmegaConf.load(folder / "params.yaml")
    OmegaConf.update(config, "evaluate.tile", side)
    OmegaConf.save(config, folder / "params.yaml")
    return float(cells.measure(folder, "models/finetuned/best.pt")["mAP50-95"])


def record_result(folder: Path, key: tuple[object, ...], accuracy: float, seconds: float) -> None:
    """Add what a training gave to the table."""
    images = len(read_manifest(folder / "data/prepared").in_split("train"))
    row = (*key, f"{accuracy:.4f}", f"{seconds:.0f}", images, cells.read_commit())
    append_row(RESULTS, Result._fields, row)


def read_results() -> list[Result]:
    """Read what is known."""
    return [_read_result(row) for row in read_rows(RESULTS)]


def _read_result(row: dict[str, str]) -> Result:
    whole = {name: int(row[name]) for name in ("seed", "side", "epochs", "images")}
    parts = {name: float(row[name]) for name in ("accuracy", "seconds")}
    return Result(**{name: row[name] for name in ("data", "base", "recipe", "commit")}, **whole, **parts)


def render(results: Sequence[Result]) -> str:
    """Render a table: mAP of each recipe, its seconds, and the difference from whole images by seed."""
    lines = [
        "| data | recipe | trainings | mAP50-95 | beside whole | train images | seconds |",
        "|---" * 7 + "|",
    ]
    known = {(*result[:2], result.recipe, result.seed): result for result in results}
    for data, base, recipe in dict.fromkeys(result[:3] for result in results):
        own = [result for result in results if result[:3] == (data, base, recipe)]
        plain = [known[data, base, WHOLE, result.seed] for result in own]
        gains = [one.accuracy - other.accuracy for one, other in zip(own, plain, strict=True)]
        counts = "/".join(str(result.images) for result in own)
        cells_of_row = (f"{data}, {base}", recipe, len(own), format_mean([each.accuracy for each in own]))
        seconds = mean(result.seconds for result in own)
        lines.append(
            f"| {' | '.join(map(str, cells_of_row))} | {format_gain(gains)} | {counts} | {seconds:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Measure what helps a class that few train images have: repeated images, class weights, offline copies.

    python benchmarks/rare_class.py --bccd DIR --deeppcb DIR --weights DIR [--sets bccd,deeppcb]
        [--bases yolov8n] [--seeds 2] [--pixels 256] [--epochs 60] [--jobs 2]

The train and val images of a data set are split anew in train, val and held-out images (the seed draws them,
too; the data set's test images are not used). The class that the fewest train images have is made rare: of
those images `KEPT` stay, the others leave the train split. Each recipe trains on the rest, val chooses the
epoch, and the held-out images measure the class. Results are kept in benchmarks/rare_class.csv, each with its
commit. Recipes with a copy of each image have half of the epochs, and so as many steps.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Final, NamedTuple

import cells
import epoch_choice
import recipes
from cells import Cell, Terms
from result_rows import append_row, read_rows

from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest

RESULTS: Final = Path(__file__).with_name("rare_class.csv")
KEPT: Final = 6
"""Train images with the rare class."""
DEFAULT: Final = "default"
RECIPES: Final = {
    DEFAULT: "",
    "repeat-rare-0.5": "finetune.repeat_rare=0.5",
    "repeat-rare-1": "finetune.repeat_rare=1.0",
    "cls-pw": "finetune.cls_pw=0.5",
    "copies": "augment=light finetune.epochs={half}",
    "copies-of-rare": "augment=light augment.offline.balance=1.0 finetune.epochs={half}",
}
"""What each changes; {half} is half of the epochs."""
FIXED: Final = ("data=yolo", "data.keep_split=true", "finetune.patience=0", "finetune.threads=1")


class Result(NamedTuple):
    """What a training gave on the held-out images.

    Attributes:
        data: The data set.
        base: The base weights.
        recipe: Of `RECIPES`.
        seed: Of the split, the choice of rare images, and the training.
        pixels: Size that images are scaled to.
        epochs: Of the default.
        rare: AP50-95 of the rare class.
        others: Mean AP50-95 of the other classes.
        name: Of the rare class.
        images: Train images.
        commit: The first characters of the project's commit.
    """

    data: str
    base: str
    recipe: str
    seed: int
    pixels: int
    epochs: int
    rare: float
    others: float
    name: str
    images: int
    commit: str


class Group(NamedTuple):
    """The trainings of a data set, base and seed.

    Attributes:
        asked: The arguments of the command.
        cell: The data set, base and seed.
    """

    asked: argparse.Namespace
    cell: Cell

    @property
    def terms(self) -> Terms:
        """Their settings; the folder is that of this benchmark."""
        terms = recipes.build_terms(self.asked)
        return terms._replace(cells=self.asked.folder.resolve() / f"rare-class-{terms.imgsz}-{terms.epochs}")


def main() -> None:
    """Train what has no result, and print a table."""
    asked = recipes.parse_common_arguments(__doc__)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sets = asked.sets.split(",") if asked.sets else list(cells.sources(asked))
    wanted = product(range(asked.seeds), sets, asked.bases.split(","))
    groups = [Group(asked, Cell(data, base, "full", seed)) for seed, data, base in wanted]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for group in pool.map(_run_or_tell, groups):
            print(f"{group.cell.name}: done", flush=True)
    chosen = [result for result in read_results() if result[4:6] == (asked.pixels, asked.epochs)]
    print(render(chosen))


def _run_or_tell(group: Group) -> Group:
    try:
        run(group)
    except SystemExit as error:
        print(error, flush=True)
    return group


def run(group: Group) -> None:
    """Train the recipes of a group that have no result."""
    cell, terms = group.cell, group.terms
    known = {result[:6] for result in read_results()}
    for recipe, changes in RECIPES.items():
        key = (cell.data, cell.base, recipe, cell.seed, terms.imgsz, terms.epochs)
        if key in known:
            continue
        source = create_source(group)
        own = changes.format(half=terms.epochs // 2).split()
        place = terms._replace(cells=terms.cells / recipe, changes=(*FIXED, f"data.source={source}", *own))
        folder = cells.begin(cell, place)
        for stage in ("prepare", "augment", "finetune", "evaluate"):
            cells.stage(folder, stage)
        record_result(folder, key, name=(source / "rare").read_text("utf-8"))
        shutil.rmtree(folder / "models")


def create_source(group: Group) -> Path:
    """Write a dataset with train, val and held-out images, in whose train split one class is rare."""
    cell, terms = group.cell, group.terms
    target = terms.cells / "sources" / f"{cell.name}-rare"
    if not (target / "rare").exists():
        prepared = epoch_choice.split_anew(cell, terms)
        manifest = read_manifest(prepared)
        rare, train = thin_out(manifest, seed=cell.seed)
        rest = [*manifest.in_split("val"), *manifest.in_split("test")]
        cells.copy_dataset(prepared, [*train, *rest], target)
        (target / "rare").write_text(manifest.names[rare], "utf-8")
    return target


def thin_out(manifest: Manifest, *, seed: int) -> tuple[int, list[ImageRecord]]:
    """Choose the class that the fewest train images have, and keep `KEPT` of those images, by hash and seed.

    Args:
        manifest: Of the prepared dataset.
        seed: Of the choice.

    Returns:
        The class, and the train images that stay.
    """
    train = sorted(
        manifest.in_split("train"), key=lambda item: hashlib.sha256(f"{seed} {item.sha256}".encode()).digest()
    )
    counts = [sum(number in item.classes for item in train) for number in range(len(manifest.names))]
    rare = counts.index(min(counts))
    having = [item for item in train if rare in item.classes]
    left_out = {item.file for item in having[KEPT:]}
    return rare, [item for item in train if item.file not in left_out]


def record_result(folder: Path, key: tuple[object, ...], *, name: str) -> None:
    """Add what a training gave to the table."""
    rows = json.loads((folder / "reports/metrics.json").read_text("utf-8"))["per_class"]
    scores = {label: row["AP50-95"] for label, row in rows.items()}
    rare = scores.pop(name)
    images = len(read_manifest(folder / "data/prepared").in_split("train"))
    others = f"{mean(scores.values()):.4f}"
    row = (*key, f"{rare:.4f}", others, name, images, cells.read_commit())
    append_row(RESULTS, Result._fields, row)


def read_results() -> list[Result]:
    """Read what is known."""
    return [_read_result(row) for row in read_rows(RESULTS)]


def _read_result(row: dict[str, str]) -> Result:
    whole = {name: int(row[name]) for name in ("seed", "pixels", "epochs", "images")}
    parts = {name: float(row[name]) for name in ("rare", "others")}
    texts = {name: row[name] for name in ("data", "base", "recipe", "name", "commit")}
    return Result(**texts, **whole, **parts)


def render(results: Sequence[Result]) -> str:
    """Render a table: AP of the rare class by set, and differences from the default by set and seed."""
    sets = list(dict.fromkeys(result[:2] for result in results))
    names = {place: dict.fromkeys(one.name for one in results if one[:2] == place) for place in sets}
    titles = " | ".join(f"{data}, {base} ({', '.join(found)})" for (data, base), found in names.items())
    lines = [
        f"| recipe | {titles} | trainings | beside default | other classes beside default |",
        "|---" * (len(sets) + 4) + "|",
    ]
    known = {(result[:2], result.recipe, result.seed): result for result in results}
    for recipe in dict.fromkeys(result.recipe for result in results):
        own = [result for result in results if result.recipe == recipe]
        means = [format_mean([one.rare for one in own if one[:2] == place]) for place in sets]
        pairs = [
            (result, known[place]) for result in own if (place := (result[:2], DEFAULT, result.seed)) in known
        ]
        rare = format_gain([one.rare - other.rare for one, other in pairs])
        others = format_gain([one.others - other.others for one, other in pairs])
        lines.append(f"| {recipe} | {' | '.join(means)} | {len(own)} | {rare} | {others} |")
    return "\n".join(lines)


def format_mean(values: Sequence[float]) -> str:
    """Return the mean of values, with three digits; empty if there is none."""
    return f"{mean(values):.3f}" if values else ""


def format_gain(values: Sequence[float]) -> str:
    """Return the mean of differences with its standard error."""
    if len(values) < 2 or not any(values):
        return f"{mean(values):+.3f}" if values else ""
    return f"{mean(values):+.3f} ± {stdev(values) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main()

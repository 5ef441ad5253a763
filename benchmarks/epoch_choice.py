"""Measure which weights of a training are best on images that have chosen nothing.

    python benchmarks/epoch_choice.py --bccd DIR --rbc-coco DIR --windturbine DIR --deeppcb DIR --feralcat DIR
        --weights DIR [--sets deeppcb,feralcat] [--bases yolov8n] [--seeds 3] [--pixels 256] [--epochs 20]

The best epoch on val owes a part of its val mAP to luck, so val cannot tell whether another choice is
better. Hence the train and val images of a data set are split anew in train, val and held-out images (the
seed draws them, too; the data set's test images are not used), a model is trained with `full`, and all its
epochs are measured on val and on the held-out images, and so are averages of their weights. Then each rule
chooses by val, and the held-out images judge. Results are kept in benchmarks/epoch_choice.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final, NamedTuple

import cells
import recipes
import torch
from cells import Cell
from numpy import convolve

from pipeline.dataset.prepared import read_manifest
from pipeline.yolo.training.averaging.best_epochs import average_weights

RESULTS: Final = Path(__file__).with_name("epoch_choice.jsonl")
CHANGES: Final = (
    *("data=yolo", "data.keep_split=false", "data.split={train:0.6,val:0.15,test:0.25}"),
    *("finetune.patience=0", "finetune.threads=1", "finetune.save_period=1"),
)
AVERAGED: Final = (3, 5, 10)
"""Numbers of epochs whose weights are averaged: the best ones, and the last ones."""
MEASURE: Final = """
import json, sys
from pathlib import Path
from pipeline.compose.stage import load_config
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.predict_splits import predict_splits

config, manifest = load_config(), read_manifest(PREPARED_FOLDER)
found = {}
for weights in map(Path, sys.argv[1:]):
    outputs = predict_splits(config, manifest, weights)
    tables = [build_detection_table(*split, len(manifest.names)) for split in (outputs.val, outputs.test)]
    curves = [compute_average_precisions(table) for table in tables]
    found[weights.stem] = [float(compute_mean_ap(aps)[0]) for aps in curves]
Path("measured.json").write_text(json.dumps(found, allow_nan=False))
"""
"""Measures checkpoints on val and the held-out images, which are the test split of the folder."""


class Training(NamedTuple):
    """What is known of a training.

    Attributes:
        data: The data set.
        base: The base weights.
        seed: Of the split and the training.
        pixels: Size that images are scaled to.
        epochs: How many.
        commit: The first characters of the project's commit.
        scores: mAP50-95 on val and on the held-out images, of each epoch (epoch1, ...) and of averages of
            the best and the last ones (best3, last3, ...).
    """

    data: str
    base: str
    seed: int
    pixels: int
    epochs: int
    commit: str
    scores: dict[str, tuple[float, float]]


def main() -> None:
    """Train what has no result, and print a table of rules."""
    asked = recipes.parse_common_arguments(__doc__)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    boxes = [name for name in cells.sources(asked) if name not in cells.MASKS]
    sets = asked.sets.split(",") if asked.sets else boxes
    known = {training[:5] for training in read_results()}
    wanted = product(range(asked.seeds), sets, asked.bases.split(","))
    missing = [
        Cell(data, base, "full", seed)
        for seed, data, base in wanted
        if (data, base, seed, asked.pixels, asked.epochs) not in known
    ]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for cell in pool.map(lambda cell: _run_or_tell(asked, cell), missing):
            print(f"{cell.name}: done", flush=True)
    chosen = [training for training in read_results() if training[3:5] == (asked.pixels, asked.epochs)]
    for base in asked.bases.split(","):
        print(render([training for training in chosen if training.base == base]))


def _run_or_tell(asked: argparse.Namespace, cell: Cell) -> Cell:
    try:
        run(asked, cell)
    except SystemExit as error:
        print(error, flush=True)
    return cell


def run(asked: argparse.Namespace, cell: Cell) -> None:
    """Split, train, measure all weights, and record the scores."""
    terms = recipes.build_terms(asked)
    place = asked.folder.resolve() / "epoch-choice" / f"{terms.imgsz}-{terms.epochs}"
    source = create_source(cell, terms._replace(cells=place / "sources"))
    changes = (*CHANGES, f"data.source={source}", f"data.seed={cell.seed}")
    folder = cells.begin(cell, terms._replace(cells=place, changes=changes))
    for stage in ("prepare", "augment", "finetune"):
        cells.stage(folder, stage)
    files = [folder / f"models/finetuned/epoch{number}.pt" for number in range(asked.epochs)]
    scores = {f"epoch{number + 1}": score for number, score in enumerate(measure(folder, files))}
    order = sorted(range(asked.epochs), key=lambda number: scores[f"epoch{number + 1}"][0], reverse=True)
    averages = {}
    for count in AVERAGED:
        averages[f"best{count}"] = [files[number] for number in order[:count]]
        averages[f"last{count}"] = files[-count:]
    means = [save_average(chosen, folder / f"{name}.pt") for name, chosen in averages.items()]
    scores |= dict(zip(averages, measure(folder, means), strict=True))
    told = (cell.data, cell.base, cell.seed, asked.pixels, asked.epochs, cells.read_commit())
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(Training(*told, scores)._asdict(), allow_nan=False) + "\n")
    shutil.rmtree(folder / "models")


def create_source(cell: Cell, terms: cells.Terms) -> Path:
    """Copy the train and val images of a data set, as a YOLO dataset without a test split."""
    target = terms.cells / cell.data
    if not (target / "data.yaml").exists():
        folder = cells.begin(cell, terms)
        cells.stage(folder, "prepare")
        prepared = folder / "data/prepared"
        manifest = read_manifest(prepared)
        cells.copy_dataset(prepared, [*manifest.in_split("train"), *manifest.in_split("val")], target)
    return target


def split_anew(cell: Cell, terms: cells.Terms) -> Path:
    """Split the train and val images of a data set in train, val and held-out images.

    Returns:
        The folder of the prepared dataset, whose test split are the held-out images.
    """
    source = create_source(cell, terms._replace(cells=terms.cells / "sources"))
    changes = (*CHANGES, f"data.source={source}", f"data.seed={cell.seed}")
    folder = cells.begin(cell, terms._replace(cells=terms.cells / "splits", changes=changes))
    cells.stage(folder, "prepare")
    return folder / "data/prepared"


def measure(folder: Path, files: Sequence[Path]) -> list[tuple[float, float]]:
    """Return the mAP50-95 of checkpoints on val and on the held-out images."""
    cells.timed(folder, [sys.executable, "-c", MEASURE, *files], log="measure")
    found = json.loads((folder / "measured.json").read_text("utf-8"))
    return [(found[file.stem][0], found[file.stem][1]) for file in files]


def save_average(files: Sequence[Path], target: Path) -> Path:
    """Save the mean of the weights of some epochs as `finetune.average` does, with averaged statistics."""
    checkpoints = [torch.load(file, map_location="cpu", weights_only=False) for file in files]
    own = checkpoints[-1]
    network = own["model"].float()
    states = [each["model"].half().state_dict() for each in checkpoints[:-1]]
    states.append({name: tensor.half() for name, tensor in network.state_dict().items()})
    network.load_state_dict(average_weights(states, network.state_dict()), strict=False)
    torch.save({**own, "model": network.half()}, target)
    return target


def read_results() -> list[Training]:
    """Read what is known."""
    if not RESULTS.exists():
        return []
    rows: list[dict[str, Any]] = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    return [Training(**row) for row in rows]


def list_rules() -> dict[str, Callable[[Training], str]]:
    """Return the rules: each names the weights that it chooses by the val scores of a training."""
    rules: dict[str, Callable[[Training], str]] = {
        "the best epoch": choose_best,
        "the last epoch": lambda training: f"epoch{training.epochs}",
        "the best mean of 3 neighbours": lambda training: choose_smoothed(training, 3),
        "the best mean of 5 neighbours": lambda training: choose_smoothed(training, 5),
    }
    for count in AVERAGED:
        rules[f"average of the best {count}"] = lambda _, name=f"best{count}": name
        rules[f"average of the best {count}, if val says so"] = lambda training, name=f"best{count}": max(
            (choose_best(training), name), key=lambda weights: training.scores[weights][0]
        )
        rules[f"average of the last {count}"] = lambda _, name=f"last{count}": name
    return rules


def choose_best(training: Training) -> str:
    """Choose the epoch of the highest val mAP; of equal ones the first."""
    names = [f"epoch{number + 1}" for number in range(training.epochs)]
    return max(names, key=lambda name: training.scores[name][0])


def choose_smoothed(training: Training, width: int) -> str:
    """Choose the middle of the neighbouring epochs with the highest mean val mAP."""
    values = [training.scores[f"epoch{number + 1}"][0] for number in range(training.epochs)]
    return f"epoch{int(convolve(values, [1 / width] * width, 'valid').argmax()) + width // 2 + 1}"


def render(trainings: Sequence[Training]) -> str:
    """Return a table: mAP of each rule, and its difference from the best epoch, paired by training."""
    if not trainings:
        return ""
    head = f"chosen by val, {len(trainings)} trainings"
    lines = [f"| {head} | val | held out | beside the best epoch | standard error |", "|---" * 5 + "|"]
    for rule, choose in list_rules().items():
        chosen = [training.scores[choose(training)] for training in trainings]
        best = [training.scores[choose_best(training)] for training in trainings]
        gains = [ours[1] - others[1] for ours, others in zip(chosen, best, strict=True)]
        error = f"{stdev(gains) / len(gains) ** 0.5:.3f}" if len(gains) > 1 else ""
        val, held_out = (mean(score[place] for score in chosen) for place in (0, 1))
        lines.append(f"| {rule} | {val:.3f} | {held_out:.3f} | {mean(gains):+.3f} | {error} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

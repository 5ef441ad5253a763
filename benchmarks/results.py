"""Measure the strategies on real data beside plain `yolo train`, and write docs/results.md.

    python benchmarks/results.py --bccd DIR --rbc-coco DIR --windturbine DIR --deeppcb DIR --feralcat DIR
        --weights DIR [--sets bccd,deeppcb] [--bases yolov8n,yolo11n,foundation] [--seeds 0,1,2]
        [--methods 'yolo train,full,gradual'] [--pixels 256] [--epochs 20] [--jobs 2]

A group is a data set, base weights and a seed: its trainings have the same images, image size, batch and
epochs, and run one after the other on the same cores (`--jobs` groups at a time share the cores). `yolo
train` runs as its own process with its defaults and no logging callbacks; its best.pt is measured by the
same code on the same images. `same time` is the strategy `full` for the seconds that `yolo train`
trained, start-up not counted. `defaults` is what own images get: its epochs follow the images, and --epochs
counts for `yolo train` alone. Results are kept in benchmarks/results.jsonl, each with its commit, and
trainings that have one are skipped: after a change of the defaults, delete the lines that it makes
untrue. The page shows what there is at other image sizes, too. Differences from `yolo train` are paired by
test image and have the intervals of `finetrack compare`; they need the predictions in .finetrack/results.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import cells
import checkpoint
import results_page
import seconds
from cells import PLAIN, ROOT, SAME_TIME, Cell, Terms
from result_store import Difference, Method, Result, Store, describe_machine, list_terms, read_result
from results_page import BASES, BATCH, METHODS

from pipeline.comparison.compare_models import MIN_RESAMPLES, ComparedModel, compare_models
from pipeline.dataset.coco_results import read_stored_predictions

CELLS: Final = ROOT / ".finetrack" / "results"
"""Has a folder for each image size and number of epochs."""
PAGE: Final = ROOT / "docs" / "results.md"
RESUMED: Final = ", from epoch "
"""In the log of a training that went on."""


def main() -> None:
    """Run the trainings that are missing, then render all that are there."""
    asked = _parse_arguments()
    store = Store(asked.pixels, asked.epochs)
    place = CELLS / f"{asked.pixels}-{asked.epochs}"
    given = (place, cells.sources(asked), asked.weights, asked.epochs, BATCH)
    terms = Terms(*given, changes=("finetune.patience=0",), imgsz=asked.pixels)  # all epochs, as `yolo train`
    groups = [group for group in _list_groups(asked) if any(cell not in store.results for cell in group)]
    lanes: SimpleQueue[int] = SimpleQueue()
    for lane in range(asked.jobs):
        lanes.put(lane)
    with ThreadPoolExecutor(
        asked.jobs, initializer=lambda: cells.take_cores(lanes.get(), asked.jobs)
    ) as pool:
        for number, group in enumerate(pool.map(lambda group: _run_group(group, terms, store), groups), 1):
            print(f"[{number}/{len(groups)}] {group[0]}", flush=True)
    keep_differences(store, place)
    curves = seconds.group_curves({cell: result.curve for cell, result in store.results.items()})
    if curves:
        seconds.plot(curves, ROOT / "docs" / "images" / "seconds.svg")
    others = [Store(*terms) for terms in list_terms() if terms != (asked.pixels, asked.epochs)]
    page = results_page.render(store, others, curves=seconds.table(curves))
    PAGE.write_text(page + _read_further_sections(), encoding="utf-8")
    print("wrote docs/results.md")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells.take_sources(parser)
    parser.add_argument("--sets", help="some of the data sets; demo is one, too")
    parser.add_argument("--bases", default=",".join(BASES))
    parser.add_argument("--methods", default=",".join(METHODS[:5]))
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated, such as 0,1,2")
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="groups at a time, which share the cores")
    return parser.parse_args()


def _list_groups(asked: argparse.Namespace) -> Iterator[list[Cell]]:
    sets = asked.sets.split(",") if asked.sets else list(cells.sources(asked))
    for base, data, seed in product(asked.bases.split(","), sets, map(int, asked.seeds.split(","))):
        yield [Cell(data, base, method, seed) for method in asked.methods.split(",")]


def _read_further_sections() -> str:
    """Return the last sections of the page, which are not measured here."""
    _, heading, text = PAGE.read_text("utf-8").partition("\n## Sweeps\n")
    return heading + text


def _run_group(group: Sequence[Cell], terms: Terms, store: Store) -> Sequence[Cell]:
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    missing = [cell for cell in group if cell not in store.results]
    plain = replace(group[0], method=PLAIN)
    if any(cell.method == SAME_TIME for cell in missing) and not _is_of_this_machine(plain, store):
        missing = [plain, *(cell for cell in missing if cell != plain)]
    for cell in missing:
        try:
            store.add_result(cell, _run(cell, terms, store))
        except SystemExit as error:
            print(error, flush=True)  # the others go on, and the page shows what there is
    return group


def _is_of_this_machine(cell: Cell, store: Store) -> bool:
    return cell in store.results and store.results[cell].machine == describe_machine()


def _run(cell: Cell, terms: Terms, store: Store) -> Result:
    folder = terms.cells / cell.name
    if cell.method == SAME_TIME:
        hours = read_stock_seconds(store, cell) / 3600
        terms = terms._replace(changes=(*terms.changes, f"finetune.time={hours:.5f}"))
    cells.begin(cell, terms)
    cells.stage(folder, "prepare")
    if cell.method == PLAIN:
        spent = cells.yolo_train(folder, cell, terms)
        metrics = cells.measure(folder, "yolo/run/weights/best.pt")
    else:
        spent = [cells.stage(folder, stage) for stage in ("augment", "finetune", "evaluate")][1]
        if RESUMED in (folder / "finetune.log").read_text("utf-8"):
            spent = {}  # its seconds are not those of the whole training
        metrics = json.loads((folder / "reports" / "metrics.json").read_text("utf-8"))["test"]
    shutil.rmtree(folder / "data")
    return read_result(folder, spent, metrics)


def read_stock_seconds(store: Store, cell: Cell) -> float:
    """Return how long `yolo train` trained in the group of a cell: without start-up, as `time` counts."""
    plain = replace(cell, method=PLAIN)
    if plain not in store.results:
        sys.exit(f"{cell.name}: {PLAIN} has no result, whose time it would take")
    return store.results[plain].curve.seconds[-1]


def keep_differences(store: Store, place: Path) -> None:
    """Compute the difference of each method from `yolo train`, where all predictions are still there."""
    for method in sorted({Method(cell.data, cell.base, cell.method) for cell in store.results}):
        pairs = pair_with_stock(store.results, method)
        folders = [[place / cell.name / _name_predictions(cell) for cell in pair] for pair in pairs]
        if method.method != PLAIN and pairs and all(each.is_dir() for pair in folders for each in pair):
            seeds = tuple(cell.seed for _, cell in pairs)
            store.add_difference(method, _compare(folders, seeds))


def _name_predictions(cell: Cell) -> str:
    return checkpoint.PREDICTIONS if cell.method == PLAIN else "reports/evaluation/predictions"


def pair_with_stock(found: Collection[Cell], method: Method) -> list[tuple[Cell, Cell]]:
    """Return the trainings of `yolo train` and of a method that have the same seeds, by seed."""
    own = [cell for cell in found if (cell.data, cell.base, cell.method) == method]
    pairs = [(replace(cell, method=PLAIN), cell) for cell in sorted(own, key=lambda cell: cell.seed)]
    return [pair for pair in pairs if pair[0] in found]


def _compare(folders: Sequence[Sequence[Path]], seeds: tuple[int, ...]) -> Difference:
    """Compare the predictions of pairs of trainings, those of `yolo train` first."""
    models = [
        ComparedModel(name, tuple(read_stored_predictions(folder, "test") for folder in column))
        for name, column in zip(("yolo train", "method"), zip(*folders, strict=True), strict=True)
    ]
    main = compare_models(models, resamples=MIN_RESAMPLES, seed=0)[0].main
    return Difference(round(main.difference, 4), round(main.low, 4), round(main.high, 4), seeds)


if __name__ == "__main__":
    main()

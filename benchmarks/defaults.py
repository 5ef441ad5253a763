"""Search the learning rates of the strategies: which give the best val mAP within the same time?

    python benchmarks/defaults.py --bccd DIR --rbc-coco DIR --windturbine DIR [--minutes 3] [--seeds 0,1,2]
        [--methods full,head] [--base yolov8n --weights DIR] [--epochs 20] [--jobs 2]

Each candidate trains for `finetune.time`, or for the given epochs, on every data set with the first seed. The
winner of each strategy has the highest mean val mAP50-95, but the default stays unless it is beaten by more
than the spread of a seed. The winners, and `yolo train time=...`, then train with all seeds. Test results are
reported and decide nothing. Finished trainings are skipped. `time` is wall time: leave the machine alone, or
use `--epochs`. docs/decisions/strategies.md has the results.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import cells
import seconds
from cells import PLAIN, ROOT, Cell, Terms

from pipeline.runtime.worker_count import count_available_cores

PLACE = ROOT / ".finetrack" / "defaults"
FOUNDATION = {
    PLAIN: ("",),
    "full": ("", "lr0=0.001", "lr0=0.004"),
    "head": ("", "lr0=0.0025", "lr0=0.01"),
    "gradual": ("", "lr0=0.0015", "lr0=0.006"),
}
"""By strategy, changes of conf/finetune from the foundation weights; the first is the default as it is."""
OFFICIAL = {
    PLAIN: ("",),
    "full": ("", "lr0=0.00025", "lr0=0.001"),
    "head": ("", "lr0=0.003"),
    "gradual": ("", "lr0=0.001"),
}
"""The same from official weights."""
SPREAD = 0.01
"""Of a mean mAP50-95 over the sets from one seed to another."""
EPOCHS = 20
"""Where `time` decides: what Ultralytics plans with until it knows better."""


class Trial(NamedTuple):
    """One training: a cell, its overrides, and the folder that contains its folder."""

    cell: Cell
    changes: str
    place: Path

    @property
    def folder(self) -> Path:
        """The folder of its cell."""
        return self.place / (re.sub(r"[^\w.]+", "_", self.changes) or "default") / self.cell.name


class Found(NamedTuple):
    """The result of a training: mAP50-95 on val (best epoch) and on test; epochs."""

    val: float
    test: float
    epochs: int


Table = dict[Trial, Found]


def main() -> None:
    """Run missing trainings, and print tables."""
    asked = _arguments()
    if asked.jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_available_cores() // asked.jobs)))
    first, *others = [int(seed) for seed in asked.seeds.split(",")]
    methods = asked.methods.split(",")
    candidates = FOUNDATION if asked.base == "foundation" else OFFICIAL
    screened = _run(_trials(asked, methods, candidates, seeds=[first]), asked)
    print(_table(screened, "First seed") + "\n")
    last = {method: _winner(screened, method) for method in methods}
    final = _run(_trials(asked, methods, last, seeds=[first, *others]), asked)
    print(_table(final, f"Winners, seeds {asked.seeds}"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells.take_sources(parser)
    parser.add_argument("--minutes", type=float, default=3.0, help="of each training")
    parser.add_argument("--epochs", type=int, help="of each training, instead of minutes")
    parser.add_argument("--base", default="foundation", help="base weights, such as foundation or yolov8n")
    parser.add_argument("--seeds", default="0,1,2", help="the first for all candidates, all for the winners")
    parser.add_argument("--methods", default=",".join(OFFICIAL), help="strategies, or `yolo train`")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, which share the cores")
    return parser.parse_args()


def _trials(
    asked: argparse.Namespace,
    methods: list[str],
    candidates: dict[str, tuple[str, ...]],
    *,
    seeds: list[int],
) -> list[Trial]:
    place = PLACE / (f"{asked.epochs}-epochs" if asked.epochs else f"{asked.minutes:g}-minutes")
    return [
        Trial(Cell(data, asked.base, method, seed), changes, place)
        for seed in seeds
        for method in methods
        for changes in candidates[method]
        for data in cells.sources(asked)
    ]


def _winner(found: Table, method: str) -> tuple[str, ...]:
    """Return the best candidate, or the default if that is as good within the spread of a seed."""
    changed = dict.fromkeys(trial.changes for trial in found if trial.cell.method == method)
    best = max(changed, key=lambda changes: _mean(found, method, changes).val)
    beaten = _mean(found, method, best).val - _mean(found, method, "").val > SPREAD
    return (best if beaten else "",)


def _run(trials: list[Trial], asked: argparse.Namespace) -> Table:
    missing = [trial for trial in trials if not (trial.folder / "found.json").exists()]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for number, trial in enumerate(pool.map(lambda trial: _train(trial, asked), missing), 1):
            print(f"[{number}/{len(missing)}] {trial.cell.name} {trial.changes}", flush=True)
    return {trial: Found(*json.loads((trial.folder / "found.json").read_text("utf-8"))) for trial in trials}


def _train(trial: Trial, asked: argparse.Namespace) -> Trial:
    hours = [] if asked.epochs else [f"time={asked.minutes / 60:.6f}"]
    changes = tuple(f"finetune.{change}" for change in [*hours, *trial.changes.split()])
    given = (cells.sources(asked), asked.weights, asked.epochs or EPOCHS)
    terms = Terms(trial.folder.parent, *given, changes=changes, plain=tuple(hours))
    folder = cells.begin(trial.cell, terms)
    cells.stage(folder, "prepare")
    if trial.cell.method == PLAIN:
        cells.yolo_train(folder, trial.cell, terms)
        found = _plain(folder)
    else:
        for stage in ("augment", "finetune", "evaluate"):
            cells.stage(folder, stage)
        found = _ours(folder)
    shutil.rmtree(folder / "data")
    (folder / "found.json").write_text(json.dumps(found), "utf-8")
    return trial


def _plain(folder: Path) -> Found:
    curve = seconds.read_curve(folder / "yolo/run/results.csv")
    test = cells.measure(folder, "yolo/run/weights/best.pt")["mAP50-95"]
    return Found(curve.best, test, len(curve.seconds))


def _ours(folder: Path) -> Found:
    training, metrics = (
        json.loads((folder / "reports" / name).read_text("utf-8"))
        for name in ("training.json", "metrics.json")
    )
    return Found(training["val"]["mAP50-95"], metrics["test"]["mAP50-95"], training["epochs"])


def _mean(found: Table, method: str, changes: str, data: str | None = None) -> Found:
    rows = [
        result
        for trial, result in found.items()
        if (trial.cell.method, trial.changes) == (method, changes) and data in (None, trial.cell.data)
    ]
    val, test, epochs = (mean(column) for column in zip(*rows, strict=True))
    return Found(val, test, round(epochs))


def _table(found: Table, title: str) -> str:
    sets = list(dict.fromkeys(trial.cell.data for trial in found))
    head = " | ".join(f"{data}, val | test | epochs" for data in sets)
    lines = [
        f"{title}:\n",
        f"| | changed | mean val | mean test | {head} |",
        "|---" * (4 + 3 * len(sets)) + "|",
    ]
    for method, changes in dict.fromkeys((trial.cell.method, trial.changes) for trial in found):
        whole = _mean(found, method, changes)
        each = (_mean(found, method, changes, data) for data in sets)
        shown = " | ".join(f"{one.val:.3f} | {one.test:.3f} | {one.epochs}" for one in each)
        lines.append(f"| {method} | {changes or 'default'} | {whole.val:.3f} | {whole.test:.3f} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Compare samplers of sweeps with one another, and with `YOLO.tune()`, at the same number of trained epochs.

    python benchmarks/search.py [--methods tpe,random,grid,tune,ray] [--repeats 0,1,2] [--place FOLDER]

The problem is small on purpose: drawn steel surfaces of 96 pixels (64 train, 40 val images), five epochs from
the foundation weights, 60 epochs for each search. Learning rate, mosaic and scale are searched:

    tpe      Optuna's TPE with median pruning, so more points fit into the epochs
    random   random points without pruning
    grid     three rates, two values of mosaic and of scale
    tune     YOLO.tune(): Ultralytics' evolution; one training after the other, each in a process of its own
    ray      YOLO.tune(use_ray=True): Ray Tune's random search with ASHA; needs ray[tune]

All have the same images, base weights and further training arguments. A repeat has a seed for sampler and
trainings (the two of Ultralytics take none for sampling). Sweeps run as many jobs at once as there are cores.
Each search runs in a new clone, where nothing is restored; its result stays in `--place`, and is not measured
again. The best checkpoint of each is validated by the code of `evaluate`. Writes docs/images/search.png.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import checkpoint
import sweeps
from sweeps import ROOT, Spent

EPOCHS, POINTS = 5, 12
BUDGET = EPOCHS * POINTS
METRIC = "metrics/mAP50-95"
PROBLEM = (
    "augment=none",
    "data.images=120",
    "data.split={train:64,val:40,test:16}",
    "data.pixels=96",
    "finetune.imgsz=96",
    f"finetune.epochs={EPOCHS}",
    "finetune.batch=8",
    "finetune.workers=0",
    "evaluate.bootstrap=100",
)
LR0, MOSAIC, SCALE = (3e-4, 3e-2), (0.0, 1.0), (0.0, 0.9)
INTERVALS = (
    f"finetune.lr0=tag(log,interval({LR0[0]},{LR0[1]}))",
    f"augment.online.mosaic=interval({MOSAIC[0]},{MOSAIC[1]})",
    f"augment.online.scale=interval({SCALE[0]},{SCALE[1]})",
)
PRUNING = ("sweep.pruner=median", "sweep.pruner_warmup=1", "sweep.pruner_startup=4")
SWEEPS = {
    "tpe": (*INTERVALS, "sweep.sampler=tpe", "sweep.trials=17", *PRUNING),
    "random": (*INTERVALS, "sweep.sampler=random", f"sweep.trials={POINTS}"),
    "grid": (
        "finetune.lr0=0.001,0.003,0.01",
        "augment.online.mosaic=0.0,1.0",
        "augment.online.scale=0.2,0.7",
    ),
}
TUNED = {"lr0": LR0, "mosaic": MOSAIC, "scale": SCALE}
METHODS = (*SWEEPS, "tune", "ray")

Event = tuple[float, float]
"""Seconds since the start of a search, and the val mAP50-95 of an epoch that was trained then."""


class Search(NamedTuple):
    """The result of one search: its epochs, what it took, and its best checkpoint on val by `evaluate`."""

    events: list[Event]
    trainings: int
    whole: int
    wall: float
    cpu: float
    others: float
    judged: float

    def best_after(self, epochs: int) -> float:
        """Return the best val mAP after so many trained epochs."""
        return max(value for _, value in self.events[:epochs])

    def best_until(self, seconds: float) -> float:
        """Return the best val mAP until a time; 0 before the first epoch."""
        return max((value for when, value in self.events if when <= seconds), default=0.0)


def main() -> None:
    """Run the searches that are missing, by turns; print a table, and draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--repeats", default="0,1,2", help="seeds")
    parser.add_argument("--place", type=Path, default=ROOT / ".finetrack/search", help="folder of results")
    asked = parser.parse_args()
    asked.place.mkdir(parents=True, exist_ok=True)
    for seed in map(int, asked.repeats.split(",")):
        for method in asked.methods.split(","):
            if not (asked.place / f"{method}-{seed}.json").exists():
                measure(method, seed, asked.place.resolve())
    found = read(asked.place)
    print(render_table(found))
    plot(found, ROOT / "docs/images/search.png")


def measure(method: str, seed: int, place: Path) -> None:
    """Run a search in a new clone, write its result, and delete the clone."""
    clone = place / "clones" / f"{method}-{seed}"
    shutil.rmtree(clone, ignore_errors=True)
    sweeps.create_clone(clone)
    log = place / f"{method}-{seed}.log"
    search = (
        run_sweep(clone, method, seed, log=log)
        if method in SWEEPS
        else run_tune(clone, method, seed, log=log)
    )
    (place / f"{method}-{seed}.json").write_text(json.dumps(search._asdict()), "utf-8")
    shutil.rmtree(clone)
    print(f"{method} {seed}: {search.best_after(BUDGET):.3f} in {search.wall:.0f} s", flush=True)


def run_sweep(clone: Path, method: str, seed: int, *, log: Path) -> Search:
    """Run a sweep, and validate its winner."""
    begin = time.time()
    words = [*PROBLEM, f"seed={seed}", *SWEEPS[method], f"sweep.seed={seed}", "sweep.name=search"]
    spent = sweeps.run_sweep(clone, words, log=log)
    sweeps.run_timed(["dvc", "exp", "apply", "search-best"], clone, log=clone / "apply.log")
    rows = json.loads((clone / ".finetrack/sweeps/search/results.json").read_text("utf-8"))["jobs"]
    whole = sum(row["status"] == "trained" for row in rows)
    return build_search(
        read_epochs(clone, begin), spent, (len(rows), whole), judge(clone, "models/finetuned/best.pt")
    )


def build_search(events: list[Event], spent: Spent, trainings: tuple[int, int], judged: float) -> Search:
    """Return the result of a search; `trainings`: all, and those that were not pruned."""
    return Search(sorted(events), *trainings, *spent, judged)


def read_epochs(clone: Path, begin: float) -> list[Event]:
    """Return the epochs of all trainings that MLflow has of a clone, pruned ones too."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    runs = [run for each in client.search_experiments() for run in client.search_runs([each.experiment_id])]
    histories = [client.get_metric_history(run.info.run_id, METRIC) for run in runs]
    return [(point.timestamp / 1000 - begin, point.value) for history in histories for point in history]


def run_tune(clone: Path, method: str, seed: int, *, log: Path) -> Search:
    """Run `YOLO.tune()` with the images and arguments of sweeps, and validate its best checkpoint."""
    prepare(clone, seed)
    words = [
        sys.executable,
        __file__.replace("search.py", "tune.py"),
        method,
        json.dumps(TUNED),
        POINTS,
        EPOCHS,
    ]
    begin, seen = time.time(), dict[int, float]()
    ended = threading.Event()
    watcher = threading.Thread(target=watch_results, args=(clone, ended, seen))
    watcher.start()
    try:
        spent = sweeps.run_timed(words, clone, log=log)
    finally:
        ended.set()
        watcher.join()
    events, weights, trainings = read_ray(clone, begin) if method == "ray" else read_tune(clone, begin, seen)
    return build_search(events, spent, trainings, judge(clone, weights))


def prepare(clone: Path, seed: int) -> None:
    """Write params.yaml, the images, and the training arguments for Ultralytics."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(clone / "conf"), version_base=None):
        composed = compose("config", [*PROBLEM, f"seed={seed}"])
    (clone / "params.yaml").write_text(OmegaConf.to_yaml(composed, resolve=True), "utf-8")
    sweeps.run_timed([sys.executable, "-m", "pipeline", "prepare"], clone, log=clone / "prepare.log")
    images = clone / "data/prepared/images"
    names = json.loads((clone / "data/prepared/manifest.json").read_text("utf-8"))["names"]
    data = {"train": str(images / "train"), "val": str(images / "val"), "names": names}
    (clone / "data.yaml").write_text(json.dumps(data), "utf-8")  # JSON is YAML


def watch_results(clone: Path, ended: threading.Event, seen: dict[int, float]) -> None:
    """Note when each line of the evolution's results appears: they hold no time."""
    while not ended.wait(0.1):
        for file in (clone / "tuned").glob("*/tune_results.ndjson"):
            for number in range(len(file.read_text("utf-8").splitlines())):
                seen.setdefault(number, time.time())


def read_tune(clone: Path, begin: float, seen: dict[int, float]) -> tuple[list[Event], Path, tuple[int, int]]:
    """Read the results of Ultralytics' evolution; the last epoch of a training stands for its best."""
    (file,) = (clone / "tuned").glob("*/tune_results.ndjson")
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    events: list[Event] = []
    for number, row in enumerate(rows):
        (metrics,) = row["datasets"].values()
        when = seen.get(number, time.time()) - begin
        events += [(when, 0.0)] * (EPOCHS - 1) + [(when, metrics[f"{METRIC}(B)"])]
    return events, file.parent / "weights/best.pt", (len(rows), len(rows))


def read_ray(clone: Path, begin: float) -> tuple[list[Event], Path, tuple[int, int]]:
    """Read the results of Ray Tune's trials."""
    trials = sorted((clone / "tuned").glob("*/_tune_*/result.json"))
    rows = {file: [json.loads(line) for line in file.read_text("utf-8").splitlines()] for file in trials}
    epochs = {file: {row["epoch"]: row for row in found if "epoch" in row} for file, found in rows.items()}
    values = {file: [row[f"{METRIC}(B)"] for row in found.values()] for file, found in epochs.items()}
    events = [
        (row["timestamp"] - begin, row[f"{METRIC}(B)"]) for found in epochs.values() for row in found.values()
    ]
    best = max(values, key=lambda file: max(values[file], default=0.0))
    name = best.parent.name.rpartition("_")[2]
    (weights,) = clone.glob(f"tuned/*_{name}/weights/best.pt")
    whole = sum(len(found) == EPOCHS for found in epochs.values())
    return events, weights, (len(trials), whole)


def judge(clone: Path, weights: Path | str) -> float:
    """Measure a checkpoint on val with the code of `evaluate`."""
    sweeps.run_timed(checkpoint.build_command(weights, "val"), clone, log=clone / "judge.log")
    return float(checkpoint.read_measured(clone)["mAP50-95"])


Found = dict[str, list[Search]]
"""The repeats of each method."""


def read(place: Path) -> Found:
    """Read all results."""
    files = {method: sorted(place.glob(f"{method}-*.json")) for method in METHODS}
    return {
        method: [Search(**json.loads(file.read_text("utf-8"))) for file in some]
        for method, some in files.items()
        if some
    }


def render_table(found: Found) -> str:
    """Return a table of means, with the lowest and highest of the repeats."""
    lines = [
        f"| | repeats | best val mAP50-95 after {BUDGET // 2} epochs | after {BUDGET} "
        "| best checkpoint by `evaluate` | pruned trainings | epochs | seconds | CPU seconds | others |\n"
        + "|---" * 10
        + "|"
    ]
    for method, some in found.items():
        half, full = (
            render_range([each.best_after(count) for each in some]) for count in (BUDGET // 2, BUDGET)
        )
        judged = render_range([each.judged for each in some])
        counts = ", ".join(f"{each.trainings - each.whole} of {each.trainings}" for each in some)
        epochs, wall = (
            f"{mean(values):.0f}"
            for values in zip(*((len(each.events), each.wall) for each in some), strict=True)
        )
        own = method != "ray"  # its processes are no children of the command, and count among the others
        cpu, others = (
            f"{mean(getattr(each, name) for each in some):.{digits}f}" if own else ""
            for name, digits in (("cpu", 0), ("others", 1))
        )
        cells = (method, len(some), half, full, judged, counts, epochs, wall, cpu, others)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def render_range(values: list[float]) -> str:
    """Return the mean, the lowest and the highest of values."""
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def plot(found: Found, path: Path) -> None:
    """Draw the best val mAP over trained epochs and over seconds: means of the repeats, and their range."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from pipeline.visualize.plots import PLOT_STYLE

    latest = max(each.wall for some in found.values() for each in some)
    axes: list[tuple[str, list[float], Callable[[Search, float], float]]] = [
        ("trained epochs", [*range(1, BUDGET + 1)], lambda search, x: search.best_after(int(x))),
        ("seconds", [latest * step / 300 for step in range(301)], lambda search, x: search.best_until(x)),
    ]
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for panel, (name, xs, get) in zip(figure.subplots(1, 2, sharey=True), axes, strict=True):
            for method, some in found.items():
                draw_method(panel, method, xs, [[get(each, x) for each in some] for x in xs])
            panel.set(xlabel=name, xlim=(0, None), ylim=(0, None))
        figure.axes[0].set_ylabel("best val mAP50-95 so far")
        figure.axes[0].legend(loc="lower right")
        figure.savefig(path, dpi=120)


def draw_method(panel: Any, method: str, xs: list[float], values: list[list[float]]) -> None:
    """Draw the mean of the repeats at each x, and their range."""
    from pipeline.visualize.plots import LINE_COLORS

    colour = LINE_COLORS[METHODS.index(method)]
    dashed = "-" if method in SWEEPS else "--"
    panel.plot(xs, [mean(row) for row in values], label=method, color=colour, linestyle=dashed)
    panel.fill_between(
        xs, [min(row) for row in values], [max(row) for row in values], color=colour, alpha=0.12
    )


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    main()

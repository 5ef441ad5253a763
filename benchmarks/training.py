"""Compare `finetrack finetune` with plain `yolo train`: time, images/s, memory, mAP, time by phase.

    python benchmarks/training.py [--data bccd --bccd DIR] [--pairs 3] [--epochs 5] [--imgsz 640] [--batch 64]
        [--images 8000] [--set finetune.fast=false ...] [--plain freeze=11 ...]

Both train on the same images with the same image size, batch, epochs, weights and seed, one after the other
in alternating order; otherwise `yolo train` has its own defaults, and no callbacks. Seconds and the first
images/s are those of the whole process; the second images/s is that of the epochs alone, without start,
validation, checkpoints, plots and end. On a GPU the peak of its memory is printed too. `others` are the cores
that other processes used meanwhile. The mAP of both is measured on the test split by the same code.
docs/performance.md and docs/decisions/gpu.md have the figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import cells
from cells import PIXELS, PLAIN, ROOT, Cell, Spent, Terms

sys.path.insert(0, str(ROOT))

from pipeline.runtime.worker_count import count_available_cores

PLACE = ROOT / ".finetrack" / "bench"
BESIDE = frozenset({"start", "validation", "checkpoint", "logging", "last validation", "plots", "end"})
"""Phases that are not part of the epochs' work on train images."""

QUIET = 0.15
"""Cores. Where others use more during a training, its time says little."""


class Run(NamedTuple):
    """Time, speed, memory and mAP of one training, and the seconds of its phases."""

    spent: Spent
    speed: float
    pace: float
    gpu: float
    accuracy: float
    phases: dict[str, float]


def main() -> None:
    """Measure the pairs, and print tables."""
    asked = _arguments()
    terms = Terms(
        PLACE,
        cells.sources(asked),
        asked.weights,
        epochs=asked.epochs,
        batch=asked.batch,
        imgsz=asked.imgsz or PIXELS[asked.data],
        changes=(*_changes(asked), *asked.set),
        plain=tuple(asked.plain),
    )
    print(
        f"{asked.data}, {terms.imgsz} px, from {asked.base}, {asked.epochs} epochs, "
        f"batch {terms.batch}; finetune={asked.method} {' '.join(asked.set)}; "
        f"yolo train {' '.join(asked.plain)}; {describe_machine()}\n"
    )
    print(
        "| pair | what | seconds | CPU seconds | images/s | in the epochs | "
        "peak MB | peak GPU MB | test mAP50-95 | others |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    shutil.rmtree(PLACE / "data", ignore_errors=True)
    pairs = list(_pairs(asked, terms))
    print(f"\n{_describe_others([run for pair in pairs for run in pair])}")
    print("\n| phase, seconds | yolo train | finetune | ratio |\n|---|---|---|---|")
    for phase in dict.fromkeys(phase for run in pairs[0][::-1] for phase in run.phases):
        plain, ours = (mean(pair[own].phases.get(phase, 0.0) for pair in pairs) for own in (0, 1))
        print(f"| {phase} | {plain:.1f} | {ours:.1f} | {_ratio(plain, ours)} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells.take_sources(parser)
    parser.add_argument("--data", choices=PIXELS, default="demo")
    parser.add_argument("--base", default="foundation", help="base weights, such as foundation or yolov8n")
    parser.add_argument("--method", default="full", help="the strategy")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--imgsz", type=int, help="pixels; by default those of the data set")
    parser.add_argument("--images", type=int, help="number of images to draw for data=demo, of size --imgsz")
    parser.add_argument("--seed", type=int, default=0, help="of the first pair; the others follow")
    parser.add_argument("--set", nargs="*", default=[], help="overrides of the configuration")
    parser.add_argument("--plain", nargs="*", default=[], help="further arguments of yolo train")
    return parser.parse_args()


def _changes(asked: argparse.Namespace) -> list[str]:
    """Return overrides: train all epochs, and settings for a larger batch or a drawn data set."""
    steps = [f"finetune.nbs={asked.batch}"] if asked.batch > Terms._field_defaults["batch"] else []
    steps.append("finetune.patience=0")
    if not asked.images:
        return steps
    pixels = asked.imgsz or PIXELS[asked.data]
    split = (f"data.split.{name}={share}" for name, share in (("train", 8), ("val", 1), ("test", 1)))
    return [f"data.images={asked.images}", f"data.pixels={pixels}", *split, *steps]


def _pairs(asked: argparse.Namespace, terms: Terms) -> Iterator[tuple[Run, Run]]:
    for number in range(asked.pairs):
        methods = [PLAIN, asked.method]
        runs: dict[str, Run] = {}
        for method in methods if number % 2 == 0 else methods[::-1]:
            cell = Cell(asked.data, asked.base, method, asked.seed + number)
            runs[method] = run = _run(cell, terms)
            print(f"| {number + 1} | {method} | {_shown(run)} |", flush=True)
        plain, ours = (runs[method] for method in methods)
        print(f"| {number + 1} | ratio | {_compared(plain, ours)} |", flush=True)
        yield plain, ours


def _run(cell: Cell, terms: Terms) -> Run:
    folder = cells.begin(cell, terms)
    give_data(folder, terms)
    phases = folder / "phases.json"
    if cell.method == PLAIN:
        spent = cells.yolo_train(folder, cell, terms, phases=phases)
        weights = "yolo/run/weights/best.pt"
    else:
        spent = cells.stage(folder, "finetune", phases=phases)
        weights = "models/finetuned/best.pt"
    accuracy = cells.measure(folder, weights)["mAP50-95"]
    seen = terms.epochs * _images(folder)
    noted = json.loads(phases.read_text("utf-8"))
    going = sum(took for phase, took in noted["seconds"].items() if phase not in BESIDE)
    return Run(spent, seen / spent["wall"], seen / going, noted["gpu"], accuracy, noted["seconds"])


def give_data(folder: Path, terms: Terms) -> None:
    """Prepare the images once, and link them into each training, without the label caches of another."""
    data = terms.cells / "data"
    if not data.exists():
        for stage in ("prepare", "augment"):
            cells.stage(folder, stage)
        (folder / "data").rename(data)
    (folder / "data").symlink_to(data)
    for left in data.glob("prepared/labels/*.cache"):
        left.unlink()


def _images(folder: Path) -> int:
    return sum(1 for _ in (folder / "data" / "prepared" / "images" / "train").iterdir())


def _shown(run: Run) -> str:
    wall, cpu, memory = (run.spent[name] for name in ("wall", "cpu", "memory"))
    speeds = f"{run.speed:.1f} | {run.pace:.1f}"
    rest = f"{memory:.0f} | {run.gpu:.0f} | {run.accuracy:.3f} | {run.spent['others']:.2f}"
    return f"{wall:.1f} | {cpu:.1f} | {speeds} | {rest}"


def _compared(plain: Run, ours: Run) -> str:
    before, now = plain.spent, ours.spent
    times = [f"{before[name] / now[name]:.2f} times as fast" for name in ("wall", "cpu")]
    return " | ".join(
        [
            *times,
            f"{ours.speed / plain.speed:.2f}",
            f"{ours.pace / plain.pace:.2f}",
            f"{now['memory'] / before['memory']:.2f}",
            f"{ours.gpu / plain.gpu:.2f}" if plain.gpu else "",
            f"{ours.accuracy - plain.accuracy:+.3f}",
            "",
        ]
    )


def _describe_others(runs: list[Run]) -> str:
    """Say how busy other processes kept the machine during the trainings."""
    others, cores = [run.spent["others"] for run in runs], count_available_cores()
    used = f"Other processes used {mean(others):.2f} of {cores} cores on average, {max(others):.2f} at most"
    return f"{used}: {'a busy machine, measure again' if max(others) > QUIET else 'a quiet machine'}."


def _ratio(plain: float, ours: float) -> str:
    return f"{plain / ours:.1f}" if min(plain, ours) > 0.05 else ""


def describe_machine() -> str:
    """Return processor, cores, GPU and the version of torch."""
    import torch

    known = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{known}, {count_available_cores()} cores{gpu}, torch {torch.__version__}"


if __name__ == "__main__":
    main()

"""`python -m pipeline finetune` beside plain `yolo train`: time, images/s, memory, mAP, time by phase.

    python benchmarks/training.py [--data bccd --bccd DIR] [--pairs 3] [--epochs 5]
        [--set finetune.fast=false ...] [--plain freeze=11 ...]

Both train on the same images at the same size and batch, for the same epochs, from the same weights, with the
same seed, one after the other in alternating order; `yolo train` has its own defaults otherwise, and no
callbacks. Seconds are of the whole process. The mAP of both is measured on the test split by the same code.
docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import cells
from cells import PIXELS, PLAIN, ROOT, Cell, Spent, Terms

PLACE = ROOT / ".finetrack" / "bench"


class Run(NamedTuple):
    """What one training took, what it came to, and the seconds of its phases."""

    spent: Spent
    speed: float
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
        changes=tuple(asked.set),
        plain=tuple(asked.plain),
    )
    print(
        f"{asked.data}, {PIXELS[asked.data]} px, from {asked.base}, {asked.epochs} epochs, "
        f"batch {terms.batch}; finetune={asked.method} {' '.join(asked.set)}; "
        f"yolo train {' '.join(asked.plain)}; {_machine()}\n"
    )
    print("| pair | what | seconds | of processor | images/s | MB at the peak | test mAP50-95 |")
    print("|---|---|---|---|---|---|---|")
    pairs = list(_pairs(asked, terms))
    print("\n| phase, seconds | yolo train | finetune | as a ratio |\n|---|---|---|---|")
    for phase in pairs[0][1].phases:
        plain, ours = (mean(pair[own].phases[phase] for pair in pairs) for own in (0, 1))
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
    parser.add_argument("--seed", type=int, default=0, help="of the first pair; each has the next")
    parser.add_argument("--set", nargs="*", default=[], help="changes of the configuration")
    parser.add_argument("--plain", nargs="*", default=[], help="further arguments of yolo train")
    return parser.parse_args()


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
    cells.stage(folder, "prepare")
    phases = folder / "phases.json"
    if cell.method == PLAIN:
        spent = cells.yolo_train(folder, cell, terms, phases=phases)
        weights = "yolo/run/weights/best.pt"
    else:
        cells.stage(folder, "augment")
        spent = cells.stage(folder, "finetune", phases=phases)
        weights = "models/finetuned/best.pt"
    accuracy = cells.measure(folder, weights)["mAP50-95"]
    speed = terms.epochs * _images(folder) / spent["wall"]
    return Run(spent, speed, accuracy, json.loads(phases.read_text("utf-8")))


def _images(folder: Path) -> int:
    return sum(1 for _ in (folder / "data" / "prepared" / "images" / "train").iterdir())


def _shown(run: Run) -> str:
    wall, cpu, memory = (run.spent[name] for name in ("wall", "cpu", "memory"))
    return f"{wall:.1f} | {cpu:.1f} | {run.speed:.1f} | {memory:.0f} | {run.accuracy:.3f}"


def _compared(plain: Run, ours: Run) -> str:
    before, now = plain.spent, ours.spent
    times = [f"{before[name] / now[name]:.2f} times as fast" for name in ("wall", "cpu")]
    return " | ".join(
        [
            *times,
            f"{ours.speed / plain.speed:.2f}",
            f"{now['memory'] / before['memory']:.2f}",
            f"{ours.accuracy - plain.accuracy:+.3f}",
        ]
    )


def _ratio(plain: float, ours: float) -> str:
    return f"{plain / ours:.1f}" if min(plain, ours) > 0.05 else ""


def _machine() -> str:
    import torch

    known = torch.cpu.get_capabilities()
    return f"{known.get('cpu_name', platform.machine())}, torch {torch.__version__}"


if __name__ == "__main__":
    main()

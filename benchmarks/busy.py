"""Compare `finetrack finetune` with plain `yolo train` on a quiet and on a busy machine.

    python benchmarks/busy.py [--beside 0 1 2] [--rounds 1] [--epochs 8] [--data bccd --bccd DIR]
        [--set finetune.threads=1 ...]

Whole trainings, one after the other, in alternating order: alone, beside one busy process, and beside two. A
busy process is an endless loop in Python. `others` are the cores that all other processes used meanwhile, the
busy ones included: on a quiet machine 0, 1 and 2. On more than two cores, give numbers of busy processes that
leave none or one of them free. docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean

import cells
import training
from cells import PIXELS, PLAIN, ROOT, Cell, Spent, Terms

PLACE = ROOT / ".finetrack" / "bench-busy"
TARGETS = {0: 2.5, 1: 1.6, 2: 1.0}
"""How many times as fast as `yolo train`, by busy processes, on two cores."""
COLUMNS = (
    "| busy processes | what | seconds | CPU seconds | others | threads by epoch |\n|---|---|---|---|---|---|"
)


def main() -> None:
    """Measure, and print tables."""
    asked = _arguments()
    terms = Terms(
        PLACE,
        cells.sources(asked),
        epochs=asked.epochs,
        imgsz=PIXELS[asked.data],
        changes=("finetune.patience=0", *asked.set),
    )
    print(
        f"{asked.data}, {terms.imgsz} px, {asked.epochs} epochs; {training.describe_machine()}\n\n{COLUMNS}"
    )
    ratios: dict[int, list[float]] = defaultdict(list)
    for number in range(asked.rounds):
        for beside in asked.beside:
            with busy_processes(beside):
                plain, ours = _pair(Cell(asked.data, "foundation", "full", number), terms, beside=beside)
            ratios[beside].append(plain["wall"] / ours["wall"])
    print("\n| busy processes | times as fast as yolo train | target on two cores |\n|---|---|---|")
    for beside, found in ratios.items():
        print(f"| {beside} | {fmean(found):.2f} | {TARGETS.get(beside, '')} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells.take_sources(parser)
    parser.add_argument("--data", choices=PIXELS, default="demo")
    parser.add_argument("--beside", type=int, nargs="*", default=[0, 1, 2], help="numbers of busy processes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--set", nargs="*", default=[], help="overrides of the configuration")
    return parser.parse_args()


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Run endless loops meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _pair(cell: Cell, terms: Terms, *, beside: int) -> tuple[Spent, Spent]:
    """Train with both, `yolo train` first in every second pair; print a line for each."""
    methods = [PLAIN, cell.method]
    spent: dict[str, Spent] = {}
    for method in methods if (beside + cell.seed) % 2 == 0 else methods[::-1]:
        folder = cells.begin(Cell(cell.data, cell.base, method, cell.seed), terms)
        training.give_data(folder, terms)
        plain = method == PLAIN
        run = cells.yolo_train(folder, cell, terms) if plain else cells.stage(folder, "finetune")
        spent[method] = run
        epochs = folder / "reports/training/epochs.csv"
        threads = "" if plain else _threads(epochs.read_text("utf-8"))
        used = f"{run['wall']:.1f} | {run['cpu']:.1f} | {run['others']:.2f}"
        print(f"| {beside} | {method} | {used} | {threads} |", flush=True)
    return spent[PLAIN], spent[cell.method]


def _threads(epochs: str) -> str:
    return " ".join(f"{float(row['system/threads']):g}" for row in csv.DictReader(epochs.splitlines()))


if __name__ == "__main__":
    main()

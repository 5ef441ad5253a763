"""Compare a training on stored features of a frozen backbone with one without them, and with `yolo train`.

    python benchmarks/frozen.py --bccd DIR [--epochs 10] [--rounds 1] [--multiplier 8]

All three train on the same prepared images and offline copies, without online augmentation, from the
foundation weights at 320 px, in turn. Seconds are those of the whole process, CPU seconds include loaders;
mAP is measured on the test split by the same code. docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import cells
import yaml
from cells import PLAIN, ROOT, Cell, Spent, Terms

PLACE = ROOT / ".finetrack" / "bench-frozen"
BACKBONE = 11
KEPT, ANEW, STOCK = "head, fast=true", "head, fast=false", f"{PLAIN} freeze={BACKBONE}"


class Run(NamedTuple):
    """Time, memory and mAP of a training."""

    spent: Spent
    accuracy: float


def main() -> None:
    """Measure, and print a table."""
    asked = _arguments()
    cell = Cell("bccd", "foundation", "head", 0)
    folders = _prepared(cell, asked)
    print("| round | what | seconds | CPU seconds | peak MB | test mAP50-95 | CPU ratio |")
    print("|---|---|---|---|---|---|---|")
    for number in range(1, asked.rounds + 1):
        runs: dict[str, Run] = {}
        for name, folder in folders.items():
            runs[name] = run = _run(name, cell, folder, asked)
            wall, cpu, memory = (run.spent[key] for key in ("wall", "cpu", "memory"))
            ratio = runs[STOCK].spent["cpu"] / cpu
            shown = f"{wall:.1f} | {cpu:.1f} | {memory:.0f} | {run.accuracy:.3f} | {ratio:.2f} times as fast"
            print(f"| {number} | {name} | {shown} |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bccd", type=Path, required=True, help="folder of the BCCD dataset (Pascal VOC)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--multiplier", type=int, default=8, help="as augment.offline.multiplier")
    return parser.parse_args()


def _prepared(cell: Cell, asked: argparse.Namespace) -> dict[str, Path]:
    """Create a folder for each of the three, all with the same data."""
    folders: dict[str, Path] = {}
    for name, fast in ((STOCK, True), (KEPT, True), (ANEW, False)):
        folder = cells.begin(cell, _terms(asked, place=f"{len(folders)}", fast=fast))
        if folders:
            (folder / "data").symlink_to(folders[STOCK] / "data")
        else:
            cells.stage(folder, "prepare")
            cells.stage(folder, "augment")
        folders[name] = folder
    return folders


def _terms(asked: argparse.Namespace, *, place: str, fast: bool) -> Terms:
    online = yaml.safe_load((ROOT / "conf" / "augment" / "offline.yaml").read_text("utf-8"))["online"]
    still = {key: value for key, value in online.items() if value is not None}
    return Terms(
        PLACE / place,
        {"bccd": asked.bccd.resolve()},
        epochs=asked.epochs,
        changes=(
            "augment=offline",
            f"augment.offline.multiplier={asked.multiplier}",
            f"finetune.fast={fast}",
        ),
        plain=(
            f"data={PLACE / place / 'both.yaml'}",
            "exist_ok=True",
            f"freeze={BACKBONE}",
            *(f"{key}={value}" for key, value in still.items()),
        ),
    )


def _run(name: str, cell: Cell, folder: Path, asked: argparse.Namespace) -> Run:
    terms = _terms(asked, place=folder.parent.name, fast=name == KEPT)
    if name != STOCK:
        spent = cells.stage(folder, "finetune")
        return Run(spent, cells.measure(folder, "models/finetuned/best.pt")["mAP50-95"])
    prepared, copies = (folder / "data" / part / "images" for part in ("prepared", "augmented"))
    names = json.loads((prepared.parent / "manifest.json").read_text("utf-8"))["names"]
    train = [str(part / "train") for part in (prepared, copies)]
    data = {"train": train, "val": str(prepared / "val"), "names": names}
    (folder.parent / "both.yaml").write_text(json.dumps(data), "utf-8")  # JSON is YAML
    spent = cells.yolo_train(folder, cell, terms)
    return Run(spent, cells.measure(folder, "yolo/run/weights/best.pt")["mAP50-95"])


if __name__ == "__main__":
    main()

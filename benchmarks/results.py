"""Measure the strategies on real data, compare them with plain `yolo train`, and write docs/results.md.

    python benchmarks/results.py --bccd DIR --rbc-coco DIR --weights DIR [--seeds 0,1,2] [--suite foundation]
        [--jobs 2]

Each cell (data, base weights, method, seed) runs in its own folder in .finetrack/results with the same
images, image size, batch and epochs. `--jobs` cells run at a time and share the cores. Finished cells are
skipped. `yolo train` runs as its own process with its defaults and no logging callbacks; its best.pt is
measured by the same code on the same images. An interrupted strategy resumes, and its time is left out of the
tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import mean
from typing import Any

import cells
import seconds
from cells import PIXELS, PLAIN, ROOT, Cell, Terms

from pipeline.runtime.worker_count import count_available_cores

CELLS = ROOT / ".finetrack" / "results"
PAGE = ROOT / "docs" / "results.md"
BASES = ("foundation", "yolov8n")
EPOCHS, BATCH = 20, 16
METHODS = (PLAIN, "full", "head", "gradual", "scratch")


def main() -> None:
    """Run the cells that are missing, then render all that are there."""
    asked = _arguments()
    terms = Terms(CELLS, cells.sources(asked), asked.weights, epochs=EPOCHS, batch=BATCH)
    wanted = [*dict.fromkeys(cell for suite in asked.suite.split(",") for cell in _cells(suite, asked))]
    if asked.jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_available_cores() // asked.jobs)))
    missing = [cell for cell in wanted if not (CELLS / cell.name / "result.json").exists()]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for number, cell in enumerate(pool.map(lambda cell: _run(cell, terms), missing), 1):
            print(f"[{number}/{len(missing)}] {cell}", flush=True)
    seconds.plot(seconds.read(CELLS), ROOT / "docs" / "images" / "seconds.svg")
    PAGE.write_text(_render() + _read_sweeps(), encoding="utf-8")
    print("wrote docs/results.md")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells.take_sources(parser)
    parser.add_argument("--seeds", default="0", help="comma-separated, such as 0,1,2")
    parser.add_argument("--suite", default="strategies", help="strategies, foundation, or both with a comma")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    return parser.parse_args()


def _cells(suite: str, asked: argparse.Namespace) -> Iterator[Cell]:
    given = cells.sources(asked)
    for seed in map(int, asked.seeds.split(",")):
        if suite == "foundation":
            for data in ["demo", *(["bccd"] if "bccd" in given else [])]:
                yield Cell(data, "foundation", "full", seed)
                yield Cell(data, "foundation", "scratch", seed)
            continue
        for data in given:
            for base in ("foundation", *(["yolov8n"] if asked.weights else [])):
                for method in METHODS:
                    if (base, method) != ("yolov8n", "scratch"):
                        yield Cell(data, base, method, seed)


def _run(cell: Cell, terms: Terms) -> Cell:
    folder = terms.cells / cell.name
    whole = cell.method == PLAIN or not folder.exists()
    cells.begin(cell, terms)
    spent = {"prepare": cells.stage(folder, "prepare")}
    if cell.method == PLAIN:
        spent["finetune"] = cells.yolo_train(folder, cell, terms)
        metrics = cells.measure(folder, "yolo/run/weights/best.pt")
    else:
        for stage in ("augment", "finetune", "evaluate"):
            spent[stage] = cells.stage(folder, stage)
        metrics = json.loads((folder / "reports" / "metrics.json").read_text("utf-8"))["test"]
    shutil.rmtree(folder / "data")
    if not whole:
        del spent["finetune"]
    (folder / "result.json").write_text(json.dumps({"spent": spent, "test": metrics}), "utf-8")
    return cell


HEAD = f"""# Results

`make results` (`benchmarks/results.py`) writes this page: {EPOCHS} epochs, batch {BATCH}, `augment=none`; every method has the same
images, split, image size and base weights. mAP is that of the test split, with the bootstrap 95% interval of the first seed in brackets.
bccd and windturbine are split 70/15/15 by one seed; rbc-coco keeps its own split. Machine: {count_available_cores()} CPU cores,
{platform.system()} {platform.machine()}, no GPU.

Seconds are those of the first seed's whole process (`finetrack finetune` or `yolo train`, start-up and loaders included): one training
at a time, strategies on both cores, `yolo train` on all cores but one, its default. The demo and the further seeds trained two at a
time. Wall times are noisy; compare CPU seconds: short work at low priority ran beside some trainings, and other work beside `full` on
bccd from yolov8n. On bccd and rbc-coco `yolo train` did not run in turn with the strategies, as `make bench` does
([performance.md](performance.md)). The data: [results-data.md](results-data.md).
"""
OVER_TIME = """## mAP over seconds

![val mAP50-95 over the seconds of training, a panel for each data set and base](images/seconds.svg)

When a strategy reaches the best val mAP50-95 of the 20 epochs of `yolo train`: seconds of training without start-up, and their
share of the time that `yolo train` took (first seed, Ultralytics' validation). Same time, three seeds:
[decisions/strategies.md](decisions/strategies.md).
"""
COLUMNS = """| method | seeds | mAP50-95 | mAP50 | seconds | ratio | CPU seconds | ratio |
|---|---|---|---|---|---|---|---|
"""


def _render() -> str:
    paths = sorted(CELLS.glob("*/result.json"))
    found = {cells.named(path.parent.name): json.loads(path.read_text("utf-8")) for path in paths}
    pairs = [(data, base) for data in PIXELS for base in BASES if _any(data, base, found)]
    tables = [_table(data, base, found) + "\n" for data, base in pairs]
    return "\n".join([HEAD, *tables, OVER_TIME, seconds.table(seconds.read(CELLS)) + "\n"])


def _read_sweeps() -> str:
    """Return the last section of the page, which is not measured here: the sweeps."""
    _, heading, text = PAGE.read_text("utf-8").partition("\n## Sweeps\n")
    return heading + text


def _any(data: str, base: str, found: dict[Cell, Any]) -> bool:
    return any((cell.data, cell.base) == (data, base) for cell in found)


def _table(data: str, base: str, found: dict[Cell, Any]) -> str:
    head = f"## {data}, {PIXELS[data]} px, from {base}\n\n{COLUMNS}"
    groups = {m: [found[c] for c in found if (c.data, c.base, c.method) == (data, base, m)] for m in METHODS}
    plain = groups[PLAIN]
    return head + "\n".join(_row(method, rows, plain) for method, rows in groups.items() if rows)


def _row(method: str, rows: list[dict[str, Any]], plain: list[dict[str, Any]]) -> str:
    first = rows[0]["test"]
    main = " / ".join(f"{row['test']['mAP50-95']:.3f}" for row in rows)
    if len(rows) > 1:
        main += f", mean {mean(row['test']['mAP50-95'] for row in rows):.3f}"
    interval = f"[{first['mAP50-95_low']:.3f}, {first['mAP50-95_high']:.3f}]"
    fifty = f"{mean(row['test']['mAP50'] for row in rows):.3f}"
    times = " | ".join(_time(rows, plain, clock) for clock in ("wall", "cpu"))
    return f"| {method} | {len(rows)} | {main} {interval} | {fifty} | {times} |"


def _time(rows: list[dict[str, Any]], plain: list[dict[str, Any]], clock: str) -> str:
    own, other = (some[0]["spent"].get("finetune", {}).get(clock) if some else None for some in (rows, plain))
    shown = f"{own:.0f}" if own else ""
    return f"{shown} | {own / other:.2f}" if own and other else f"{shown} |"


if __name__ == "__main__":
    main()

"""Measure the strategies on real data beside plain `yolo train`, and write docs/results.md.

    python benchmarks/results.py --bccd DIR --rbc-coco DIR --windturbine DIR --deeppcb DIR --feralcat DIR
        --weights DIR [--sets bccd,deeppcb] [--bases yolov8n,yolo11n,foundation] [--seeds 0,1,2]
        [--methods 'yolo train,full,gradual'] [--pixels 320] [--epochs 20] [--jobs 2]

A group is a data set, base weights and a seed: its trainings have the same images, image size, batch and epochs, and run one after
the other on the same cores (`--jobs` groups at a time share the cores). `yolo train` runs as its own process
with its defaults and no logging callbacks; its best.pt is measured by the same code on the same images.
`same time` is the strategy `full` for the seconds that `yolo train` trained, start-up not counted. Finished trainings are
skipped: after a change of the code or of conf/, delete .finetrack/results.
Differences from `yolo train` are paired by test image and have the intervals of `finetrack compare`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from statistics import mean
from typing import Any, Final, NamedTuple

import cells
import checkpoint
import seconds
from cells import PIXELS, PLAIN, ROOT, SAME_TIME, Cell, Terms

from pipeline.comparison.compare_models import MIN_RESAMPLES, ComparedModel, compare_models
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.runtime.worker_count import count_available_cores

CELLS: Final = ROOT / ".finetrack" / "results"
"""Has a folder for each image size and number of epochs."""
PAGE: Final = ROOT / "docs" / "results.md"
METHODS: Final = (PLAIN, "full", SAME_TIME, "gradual", "head", "scratch")
BASES: Final = ("yolov8n", "yolo11n", "foundation")
BATCH: Final = 16
SETS: Final = tuple(PIXELS)


class Difference(NamedTuple):
    """Test mAP50-95 of a method less that of `yolo train`, on the same images.

    Attributes:
        value: The difference of the means over the seeds.
        low: Lower bound of its 95% interval.
        high: Its upper bound.
    """

    value: float
    low: float
    high: float


Found = dict[Cell, dict[str, Any]]


def main() -> None:
    """Run the trainings that are missing, then render all that are there."""
    asked = _parse_arguments()
    place = CELLS / f"{asked.pixels}-{asked.epochs}"  # results of other sizes or epochs are others
    terms = Terms(place, cells.sources(asked), asked.weights, asked.epochs, BATCH, imgsz=asked.pixels)
    groups = [group for group in _list_groups(asked) if any(not _is_done(cell, place) for cell in group)]
    lanes: SimpleQueue[int] = SimpleQueue()
    for lane in range(asked.jobs):
        lanes.put(lane)
    with ThreadPoolExecutor(
        asked.jobs, initializer=lambda: cells.take_cores(lanes.get(), asked.jobs)
    ) as pool:
        for number, group in enumerate(pool.map(lambda group: _run_group(group, terms), groups), 1):
            print(f"[{number}/{len(groups)}] {group[0]}", flush=True)
    found, curves = read_results(place), seconds.read(place)
    seconds.plot(curves, ROOT / "docs" / "images" / "seconds.svg")
    page = _render(found, asked, seconds.table(curves)) + _read_further_sections()
    PAGE.write_text(page, encoding="utf-8")
    print("wrote docs/results.md")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells.take_sources(parser)
    parser.add_argument("--sets", help="some of the data sets; demo is one, too")
    parser.add_argument("--bases", default=",".join(BASES))
    parser.add_argument("--methods", default=",".join(METHODS[:5]))
    parser.add_argument("--seeds", default="0", help="comma-separated, such as 0,1,2")
    parser.add_argument("--pixels", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="groups at a time, which share the cores")
    return parser.parse_args()


def _list_groups(asked: argparse.Namespace) -> Iterator[list[Cell]]:
    sets = asked.sets.split(",") if asked.sets else list(cells.sources(asked))
    for seed, data, base in product(map(int, asked.seeds.split(",")), sets, asked.bases.split(",")):
        yield [Cell(data, base, method, seed) for method in asked.methods.split(",")]


def _is_done(cell: Cell, place: Path) -> bool:
    return (place / cell.name / "result.json").exists()


def _run_group(group: Sequence[Cell], terms: Terms) -> Sequence[Cell]:
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    for cell in group:
        if not _is_done(cell, terms.cells):
            _run(cell, terms)
    return group


def _run(cell: Cell, terms: Terms) -> None:
    folder = terms.cells / cell.name
    whole = cell.method == PLAIN or not folder.exists()
    if cell.method == SAME_TIME:
        hours = read_stock_seconds(terms.cells, cell) / 3600
        terms = terms._replace(changes=(f"finetune.time={hours:.5f}",))
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
    if not whole:  # a strategy that was stopped has resumed
        del spent["finetune"]
    (folder / "result.json").write_text(json.dumps({"spent": spent, "test": metrics}), "utf-8")


def read_stock_seconds(place: Path, cell: Cell) -> float:
    """Return how long `yolo train` trained in the group of a cell: without start-up, as `time` counts."""
    stock = place / Cell(cell.data, cell.base, PLAIN, cell.seed).name
    return seconds.read_curve(stock / "yolo/run/results.csv").seconds[-1]


def read_results(place: Path) -> Found:
    """Read the results of the cells in a folder."""
    paths = sorted(place.glob("*/result.json"))
    return {cells.named(path.parent.name): _read_result(path) for path in paths}


def _read_result(path: Path) -> dict[str, Any]:
    return {**json.loads(path.read_text("utf-8")), "folder": path.parent}


def _render(found: Found, asked: argparse.Namespace, curves: str) -> str:
    spread = "seeds and images" if len({cell.seed for cell in found}) > 1 else "images alone"
    head = f"""# Results

`make results` (`benchmarks/results.py`) writes this page: {asked.epochs} epochs, batch {BATCH}, `augment=none`, {asked.pixels} px; every method has
the same images, split, image size and base weights. mAP is that of the test split (of masks where the set has them), with the bootstrap 95% interval
of the first seed in brackets. Differences from `yolo train` are means over the seeds, paired by test image, with 95% intervals
that hold the spread of {spread} ([comparison](decisions/comparison.md)). rbc-coco keeps its own split, the others are split 70/15/15 by one
seed. `same time`: `full` for as long as `yolo train` trained, start-up not counted. yolo11n starts from the official yolo11n-seg.

{count_available_cores()} CPU cores, {platform.system()} {platform.machine()}, no GPU. The trainings of a set, base and seed ran one after the other on the same
cores, {asked.jobs} groups at a time; every process, `yolo train` too, computed with as many threads as its group had cores. Seconds are means over the seeds of the whole process, start-up included. The data: [results-data.md](results-data.md).
"""
    pairs = [pair for pair in product(SETS, BASES) if any((cell.data, cell.base) == pair for cell in found)]
    differences = {
        (data, base, method): _compare(found, data, base, method)
        for data, base in pairs
        for method in METHODS[1:]
        if pair_with_stock(found, data, base, method)
    }
    summary = "\n".join([_render_summary(base, differences) for base in BASES])
    tables = [_render_table(data, base, found, differences) for data, base in pairs]
    return "\n".join([head, "## Beside `yolo train`\n", summary, *tables, OVER_TIME, f"{curves}\n"])


OVER_TIME = """## mAP over seconds

![val mAP50-95 over the seconds of training, a panel for each data set and base](images/seconds.svg)

When a strategy reaches the best val mAP50-95 of all epochs of `yolo train`: seconds of training without start-up, and their
share of the time that `yolo train` took (first seed, Ultralytics' validation).
"""
COLUMNS = """| method | seeds | mAP50-95 | beside `yolo train` | mAP50 | seconds | ratio | CPU seconds | ratio |
|---|---|---|---|---|---|---|---|---|
"""


def _read_further_sections() -> str:
    """Return the last sections of the page, which are not measured here."""
    _, heading, text = PAGE.read_text("utf-8").partition("\n## Sweeps\n")
    return heading + text


def _select(found: Found, data: str, base: str, method: str) -> list[Cell]:
    return [cell for cell in found if (cell.data, cell.base, cell.method) == (data, base, method)]


def pair_with_stock(found: Found, data: str, base: str, method: str) -> list[tuple[Cell, Cell]]:
    """Return the trainings of `yolo train` and of a method that have the same seeds."""
    pairs = [(Cell(data, base, PLAIN, cell.seed), cell) for cell in _select(found, data, base, method)]
    return [pair for pair in pairs if pair[0] in found]


def _compare(found: Found, data: str, base: str, method: str) -> Difference:
    pairs, models = pair_with_stock(found, data, base, method), []
    for index, name in enumerate((PLAIN, method)):
        place = checkpoint.PREDICTIONS if name == PLAIN else "reports/evaluation/predictions"
        folders = [found[pair[index]]["folder"] / place for pair in pairs]
        trainings = tuple(read_stored_predictions(folder, "test") for folder in folders)
        models.append(ComparedModel(name, trainings))
    main = compare_models(models, resamples=MIN_RESAMPLES, seed=0)[0].main
    return Difference(main.difference, main.low, main.high)


def _render_summary(base: str, differences: dict[tuple[str, str, str], Difference]) -> str:
    """Return a table: methods, the difference on each set, and the mean over the sets."""
    own = {(data, method): each for (data, name, method), each in differences.items() if name == base}
    if not own:
        return ""
    sets = list(dict.fromkeys(data for data, _ in own))
    counted = [data for data in sets if data not in cells.MASKS]  # those have the images of another set
    lines = [
        f"| from {base} | mean of {len(counted)} sets | {' | '.join(sets)} |",
        "|---" * (len(sets) + 2) + "|",
    ]
    for method in METHODS[1:]:
        row = [own.get((data, method)) for data in sets]
        if all(row):
            shown = " | ".join(_format(each) for each in row if each)
            lines.append(
                f"| {method} | {_format(_average([own[data, method] for data in counted]))} | {shown} |"
            )
    return "\n".join([*lines, ""])


def _average(differences: Sequence[Difference]) -> Difference:
    """Return the mean over data sets, whose errors are independent."""
    value = mean(each.value for each in differences)
    reach = sum(((each.high - each.low) / 2) ** 2 for each in differences) ** 0.5 / len(differences)
    return Difference(value, value - reach, value + reach)


def _format(each: Difference) -> str:
    return f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})"


def _render_table(
    data: str, base: str, found: Found, differences: dict[tuple[str, str, str], Difference]
) -> str:
    groups = {method: [found[cell] for cell in _select(found, data, base, method)] for method in METHODS}
    rows = [
        _render_row(method, results, groups[PLAIN], differences.get((data, base, method)))
        for method, results in groups.items()
        if results
    ]
    return f"## {data}, from {base}\n\n{COLUMNS}" + "\n".join(rows) + "\n"


def _render_row(
    method: str,
    results: Sequence[dict[str, Any]],
    plain: Sequence[dict[str, Any]],
    difference: Difference | None,
) -> str:
    name = "mask/mAP50-95" if "mask/mAP50-95" in results[0]["test"] else "mAP50-95"
    values = [result["test"][name] for result in results]
    main = " / ".join(f"{value:.3f}" for value in values)
    main += f", mean {mean(values):.3f}" if len(values) > 1 else ""
    interval = f"[{results[0]['test'][f'{name}_low']:.3f}, {results[0]['test'][f'{name}_high']:.3f}]"
    fifty = mean(result["test"][name.replace("50-95", "50")] for result in results)
    beside = _format(difference) if difference else ""
    times = " | ".join(_format_time(results, plain, clock) for clock in ("wall", "cpu"))
    return f"| {method} | {len(values)} | {main} {interval} | {beside} | {fifty:.3f} | {times} |"


def _format_time(results: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]], clock: str) -> str:
    own, other = (_average_seconds(some, clock) for some in (results, plain))
    return f"{own:.0f} | {own / other:.2f}" if own and other else f"{own or ''} |"


def _average_seconds(results: Sequence[dict[str, Any]], clock: str) -> float | None:
    taken = [result["spent"]["finetune"][clock] for result in results if "finetune" in result["spent"]]
    return mean(taken) if taken else None


if __name__ == "__main__":
    main()

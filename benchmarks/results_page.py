"""Render docs/results.md from the kept results of trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from statistics import mean, median
from typing import Final

import cells
from cells import DEFAULTS, PIXELS, PLAIN, SAME_TIME
from result_store import Difference, Method, Result, Store

METHODS: Final = (PLAIN, "full", SAME_TIME, "gradual", "head", "scratch", DEFAULTS)
BASES: Final = ("yolov8n", "yolo11n", "foundation")
BATCH: Final = 16
SETS: Final = tuple(PIXELS)


def render(store: Store, others: Sequence[Store], *, curves: str) -> str:
    """Return the page up to its sections that `make results` does not measure.

    Args:
        store: The results.
        others: Those at other image sizes or numbers of epochs.
        curves: The table of mAP over seconds.
    """
    stores = {"": store} | {_describe_terms(each, store): each for each in others}
    machines = sorted({result.machine for each in stores.values() for result in each.results.values()})
    head = f"""# Results

    make results DATA=FOLDER BASES=yolov8n,foundation SEEDS=0,1,2 METHODS="yolo train,full,same time,gradual,head"

writes this page (`benchmarks/results.py`): {store.terms["epochs"]} epochs, batch {BATCH}, `augment=none`, {store.terms["pixels"]} px; every method has
the same images, split, image size and base weights. mAP is that of the test split (of masks where the set has them), with the bootstrap 95% interval
of the first seed in brackets. Differences from `yolo train` are means over the seeds, paired by test image, with 95% intervals
that hold the spread of the images, and of the seeds where there are several; they are not corrected for their number
([comparison](decisions/comparison.md)). **With one seed an interval holds the spread of the test images alone**. {_describe_seed_spread(stores)}
rbc-coco keeps its own split, the others are split 70/15/15 by one seed. `same time`: `full` for
as long as `yolo train` trained, start-up and our caching of the images (1 to 3%) not counted. `defaults`: what own images get here (`augment=light`,
`finetune.epochs=auto`, `patience=10`), beside the 100 epochs that are the default of `yolo train`.

Both have the defaults of their program. Those of `full` (conf/) were chosen on these sets: by val, except that the first rates from official weights
were lowered after test was seen, too. `yolo train` collects {64 // BATCH} batches for a step and warms up for three epochs; `full` makes a step of each batch, computes in bf16
where the processor can, and keeps decoded images in memory. At 320 px an earlier edition found no gain from yolov8n (`full` / `yolo train`: bccd 0.640 / 0.639 and
rbc-coco 0.764 / 0.778 by three seeds, windturbine 0.698 / 0.729 by one); the tables at 320 px below are newer, of two seeds. Seconds at 320 px, with 100 epochs, and
from yolo11n on bccd and rbc-coco, were measured beside other work: compare their CPU seconds.

Machine: {"; ".join(machines)}; no GPU. The trainings of a set, base and seed ran one after the other on the same cores. On a CPU `yolo train` computes
with one thread less than the machine has cores, eight at most, and a strategy with one per core that it has. Seconds are means over the seeds of the whole
process, start-up included; a training's own scan of labels, plots and last validation are part of `yolo train`, and of other stages here. Each
result, its commit, and the cores that other programs used meanwhile: `benchmarks/results.jsonl`. The data: [results-data.md](results-data.md).
"""
    summaries = [_render_summary(base, terms, each) for terms, each in stores.items() for base in BASES]
    summary = "\n".join(filter(None, summaries))
    tables = [table for terms, each in stores.items() for table in _render_tables(terms, each)]
    return "\n".join([head, "## Beside `yolo train`\n", summary, *tables, OVER_TIME, f"{curves}\n"])


def _describe_seed_spread(stores: Mapping[str, Store]) -> str:
    """Describe how far the scores of trainings that differ in their seed alone are apart."""
    scores: dict[tuple[str, Method], list[float]] = {}
    for terms, store in stores.items():
        for cell, result in store.results.items():
            key = terms, Method(cell.data, cell.base, cell.method)
            scores.setdefault(key, []).append(result.test["mAP50-95"])
    ranges = [max(group) - min(group) for group in scores.values() if len(group) > 1]
    if not ranges:
        return ""
    return (
        f"The scores of two or three seeds are {median(ranges):.3f} apart in the median of {len(ranges)} kinds "
        f"of training, and {max(ranges):.3f} at most."
    )


def _describe_terms(store: Store, main: Store) -> str:
    """Return in which of its terms a store differs from the main one."""
    texts = {"pixels": "at {} px", "epochs": "{} epochs"}
    different = [
        text.format(store.terms[key]) for key, text in texts.items() if store.terms[key] != main.terms[key]
    ]
    return "".join(f", {text}" for text in different)


def _render_tables(terms: str, store: Store) -> Iterator[str]:
    for base, data in product(BASES, SETS):
        if any((cell.data, cell.base) == (data, base) for cell in store.results):
            yield _render_table(data, base, terms, store)


OVER_TIME = """## mAP over seconds

![val mAP50-95 over the seconds of training, a panel for each data set and base](images/seconds.svg)

When `yolo train` and a strategy first reach the best val mAP50-95 of all epochs of `yolo train`: seconds of training without start-up, and the
strategy's share of them (first seed, Ultralytics' validation).
"""
COLUMNS = """| method | seeds | mAP50-95 | beside `yolo train` | mAP50 | seconds | ratio | CPU seconds | ratio |
|---|---|---|---|---|---|---|---|---|
"""


def _render_summary(base: str, terms: str, store: Store) -> str:
    """Return a table: methods, the difference on each set, and the mean over the sets."""
    found = store.differences.items()
    own = {(method.data, method.method): each for method, each in found if method.base == base}
    sets = [data for data in SETS if any(data == name for name, _ in own)]
    counted = [data for data in sets if data not in cells.MASKS]  # those have the images of another set
    lines = [
        f"| from {base}{terms} | mean of {len(counted)} sets | {' | '.join(sets)} |",
        "|---" * (len(sets) + 2) + "|",
    ]
    methods = [method for method in METHODS if any(method == name for _, name in own)]
    for method in methods:
        shown = " | ".join(_format(own.get((data, method))) for data in sets)
        row = [own.get((data, method)) for data in counted]
        average = _average([each for each in row if each]) if all(row) else None
        lines.append(f"| {method} | {_format(average)} | {shown} |")
    return "\n".join([*lines, ""]) if own else ""


def _average(differences: Sequence[Difference]) -> Difference:
    """Return the mean over data sets, whose errors are independent."""
    value = mean(each.value for each in differences)
    reach = sum(((each.high - each.low) / 2) ** 2 for each in differences) ** 0.5 / len(differences)
    return Difference(value, value - reach, value + reach)


def _format(each: Difference | None) -> str:
    return f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})" if each else ""


def _render_table(data: str, base: str, terms: str, store: Store) -> str:
    known = {cell: store.results[cell] for cell in sorted(store.results, key=lambda cell: cell.seed)}
    own = {cell: each for cell, each in known.items() if (cell.data, cell.base) == (data, base)}
    groups = {method: [each for cell, each in own.items() if cell.method == method] for method in METHODS}
    rows = [
        _render_row(method, results, groups[PLAIN], store.differences.get(Method(data, base, method)))
        for method, results in groups.items()
        if results
    ]
    counts = {each.test["images"] for each in own.values() if "images" in each.test}
    count = f" ({counts.pop():.0f} test images)" if counts else ""
    return f"## {data}, from {base}{terms}{count}\n\n{COLUMNS}" + "\n".join(rows) + "\n"


def _render_row(
    method: str, results: Sequence[Result], plain: Sequence[Result], difference: Difference | None
) -> str:
    first, values = results[0].test, [result.test["mAP50-95"] for result in results]
    main = " / ".join(f"{value:.3f}" for value in values)
    main += f", mean {mean(values):.3f}" if len(values) > 1 else ""
    interval = f"[{first['mAP50-95_low']:.3f}, {first['mAP50-95_high']:.3f}]"
    fifty = mean(result.test["mAP50"] for result in results)
    times = " | ".join(_format_time(results, plain, clock) for clock in ("wall", "cpu"))
    return f"| {method} | {len(values)} | {main} {interval} | {_format(difference)} | {fifty:.3f} | {times} |"


def _format_time(results: Sequence[Result], plain: Sequence[Result], clock: str) -> str:
    own, other = (_average_seconds(some, clock) for some in (results, plain))
    return f"{own:.0f} | {own / other:.2f}" if own and other else f"{own or ''} |"


def _average_seconds(results: Sequence[Result], clock: str) -> float | None:
    taken = [result.spent[clock] for result in results if clock in result.spent]
    return mean(taken) if taken else None

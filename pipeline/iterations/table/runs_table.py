"""Format iterations as a table: each row says what differs from the row below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from time import localtime, strftime
from typing import Final, NamedTuple

from rich.cells import cell_len

from pipeline.core.metric_names import HIGH, LOW
from pipeline.iterations.differences import label_differences
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.iteration_state import get_state
from pipeline.iterations.select_iterations import find_main_metric
from pipeline.iterations.table.columns import GAP, format_wrapped_columns, share_width
from pipeline.runtime.progress import format_duration

TABLE_WIDTH: Final = 80
DIGEST_DIGITS: Final = 8
"""Of ids and digests in the table; commands accept them."""
_MAX_DIFFERENCES: Final = 4
"""Differences that a row of the narrow table names; the rest is counted."""
_MIN_FLEXIBLE: Final = 20
"""Cells for the name and what differs, even where the other columns leave less."""


class _Column(NamedTuple):
    """A column; `shown` tells for all rows whether it says anything, `wraps` whether it may get narrower."""

    title: str
    read: Callable[[Iteration], str]
    shown: Callable[[Sequence[Iteration]], bool] = lambda _: True
    wraps: bool = False


def format_runs_table(
    iterations: Sequence[Iteration], *, wide: bool = False, width: int = TABLE_WIDTH
) -> list[str]:
    """Format the table; columns that say nothing about these iterations are left out.

    Args:
        iterations: In the order of the rows.
        wide: Whether there are more columns: id, start, commit, sweep.
        width: Of the table, in cells of the terminal.
    """
    differences = list_row_differences(iterations)
    shown = [_join_differences(labels, most=None if wide else _MAX_DIFFERENCES) for labels in differences]
    columns = [column for column in _list_columns(wide=wide) if column.shown(iterations)]
    head = [["name", "differs", *(column.title for column in columns)]]
    body = [
        [item.label, differs, *(column.read(item) for column in columns)]
        for item, differs in zip(iterations, shown, strict=True)
    ]
    wrapping = [column.wraps for column in columns]
    return format_wrapped_columns(head + body, _measure(head + body, wrapping, width))


def list_row_differences(iterations: Sequence[Iteration]) -> list[list[str]]:
    """List for each row what differs from the row below it; nothing for the last one."""
    found = [label_differences(below, item) or ["nothing"] for item, below in pairwise(iterations)]
    return [*found, []] if iterations else []


def describe_table(iterations: Sequence[Iteration], *, total: int) -> list[str]:
    """Return sentences below the table: which metrics and data, how many are not shown.

    Args:
        iterations: Those of the table.
        total: How many passed the filters.
    """
    names = [find_main_metric(item, prefix) for item in iterations for prefix in ("test/", "best/")]
    metrics = list(dict.fromkeys(name.partition("/")[2] for name in names if name))
    notes = [f"val and test: {' or '.join(metrics)}, with the 95% interval of test"] if metrics else []
    data = {item.data[:DIGEST_DIGITS] for item in iterations if item.data}
    if len(data) == 1:
        notes.append(f"all on the data {data.pop()}")
    if total > len(iterations):
        notes.append(f"{len(iterations)} of {total:,} are shown: --limit 0 shows all")
    shared = [name for name, count in Counter(item.label for item in iterations).items() if count > 1]
    if shared:
        notes.append("some names are shared: --wide shows the ids, by which commands know them")
    return notes


def _list_columns(*, wide: bool) -> list[_Column]:
    data = _Column("data", _format_data, lambda items: wide or len({*map(_format_data, items)} - {""}) > 1)
    test = _Column("test", lambda item: _format_metric(item, "test/"), wraps=True)
    common = [data, _Column("val", lambda item: _format_metric(item, "best/")), test]
    common.append(_Column("time", _format_seconds))
    if not wide:  # what failed has no alias
        state = _Column(
            "alias/state", _format_alias_and_state, lambda items: any(map(_format_alias_and_state, items))
        )
        return [*common, state._replace(wraps=True)]
    return [
        *common,
        _Column("alias", _format_alias, lambda items: any(map(_format_alias, items))),
        _Column("state", _format_state, lambda items: any(map(_format_state, items))),
        _Column("id", lambda item: (item.run_id or item.revision or "")[:DIGEST_DIGITS]),
        _Column("started", _format_start),
        _Column("commit", lambda item: str(item.facts.get("commit", ""))[:DIGEST_DIGITS]),
        _Column("sweep", _read_sweep, lambda items: any(map(_read_sweep, items))),
    ]


def _format_metric(iteration: Iteration, prefix: str) -> str:
    """Format the main metric, with its interval if it has one: `0.631 (0.58-0.68)`."""
    name = find_main_metric(iteration, prefix)
    if name is None:
        return ""
    values = iteration.metrics
    bounds = [values.get(name + ending) for ending in (LOW, HIGH)]
    interval = "" if None in bounds else f" ({bounds[0]:.2f}-{bounds[1]:.2f})"
    return f"{values[name]:.3f}{interval}"


def _format_data(iteration: Iteration) -> str:
    return (iteration.data or "")[:DIGEST_DIGITS]


def _format_alias(iteration: Iteration) -> str:
    """Return the aliases of the version; a version without one is shown by its number."""
    if iteration.aliases:
        return " ".join(iteration.aliases)
    return f"v{iteration.version}" if iteration.version else ""


def _format_alias_and_state(iteration: Iteration) -> str:
    return f"{_format_alias(iteration)} {_format_state(iteration)}".strip()


def _format_seconds(iteration: Iteration) -> str:
    seconds = iteration.facts.get("seconds")
    return "" if seconds is None else format_duration(seconds)


def _format_state(iteration: Iteration) -> str:
    state = get_state(iteration)
    return "" if state == "finished" else {"dvc": "DVC only"}.get(state, state)


def _format_start(iteration: Iteration) -> str:
    started = iteration.facts.get("started")
    return strftime("%Y-%m-%d %H:%M", localtime(started)) if started else ""


def _read_sweep(iteration: Iteration) -> str:
    return str(iteration.facts.get("sweep", ""))


def _join_differences(labels: Sequence[str], *, most: int | None) -> str:
    shown = labels[:most]
    rest = len(labels) - len(shown)
    return " ".join([*shown, *([f"and {rest} more"] if rest else [])])


def _measure(rows: Sequence[Sequence[str]], wrapping: Sequence[bool], width: int) -> list[int]:
    """Return the widths of the columns: the first two share what the others leave.

    Args:
        rows: Their cells.
        wrapping: Of each column after the first two, whether it may be as narrow as its longest word.
        width: Of the table.
    """
    columns = [*zip(*rows, strict=True)]
    longest = [max(map(cell_len, column)) for column in columns]
    words = [
        max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns[2:]
    ]
    fixed, left = longest[2:], width - len(GAP) * (len(columns) - 1)
    if left - sum(fixed) < _MIN_FLEXIBLE:
        fixed = [short if wraps else full for short, full, wraps in zip(words, fixed, wrapping, strict=True)]
    return [*share_width(longest[:2], max(left - sum(fixed), _MIN_FLEXIBLE)), *fixed]

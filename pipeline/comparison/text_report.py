"""Format a comparison for the terminal, in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.comparison.comparison_report import ComparisonReport, describe_verdicts
from pipeline.comparison.comparison_result import ModelComparison, PairedDifference
from pipeline.comparison.models.model_differences import ModelDifference
from pipeline.comparison.statistics.paired_interval import SIGNIFICANCE
from pipeline.core.metric_names import TOP1, get_main_metric
from pipeline.core.text import format_count

WIDTH: Final = 80
MAX_ROWS: Final = 10
"""Classes or slices that are shown; --json has all."""
MAX_NAME: Final = 22
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of models within tables."""


def format_report(report: ComparisonReport) -> Iterator[str]:
    """Yield the lines of a comparison: models, what differs, then each model beside the first."""
    for letter, model in zip(LETTERS, report.models, strict=False):
        yield f"{letter}  {model.label}"
    yield f"on {_describe_test(report)}"
    if report.differences:
        yield ""
        yield from _format_differences(report.differences, len(report.models))
    told = zip(LETTERS[1:], describe_verdicts(report), report.comparisons, strict=False)
    for letter, verdict, comparison in told:
        yield from ("", verdict, "")
        yield from _format_comparison(comparison, letter, get_main_metric(report.test.task))
    yield ""
    for remark in (*report.remarks, _describe_tests(report)):
        yield from textwrap.wrap(f"note: {remark}", WIDTH, subsequent_indent="  ", break_long_words=False)


def format_p_value(p_value: float) -> str:
    """Format a p-value: three decimals, `<0.001`."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _describe_tests(report: ComparisonReport) -> str:
    several = " of all models" if len(report.comparisons) > 1 else ""
    return (
        f"paired bootstrap, {report.resamples:,} resamples; * marks p < {SIGNIFICANCE}; "
        f"p of other figures, classes and slices is adjusted for the number of each{several} (Holm)"
    )


def _describe_test(report: ComparisonReport) -> str:
    test = report.test
    grouped = f" in {format_count(test.groups, 'group')}" if test.groups < test.images else ""
    objects = "" if test.task == "classify" else f" with {format_count(test.objects, 'object')}"
    return f"{format_count(test.images, 'test image')}{grouped}{objects}, dataset {test.data[:12]}"


def _format_differences(rows: Sequence[ModelDifference], models: int) -> Iterator[str]:
    room = max(8, (WIDTH - 30) // models - 2)
    width = max(len("differs"), *(len(row.name) for row in rows))
    for name, values in (("differs", tuple(LETTERS[:models])), *((row.name, row.values) for row in rows)):
        cells = "  ".join(_cut(value, room).ljust(room) for value in values)
        yield f"{name.ljust(width)}  {cells}".rstrip()


def _format_comparison(found: ModelComparison, letter: str, main: str) -> Iterator[str]:
    yield from _format_table("figure", [found.main, *found.figures], letter)
    for title, rows in (("class", found.classes), ("slice", found.slices)):
        if rows:
            yield ""
            counted = "images" if main == TOP1 else "objects"
            yield from _format_table(f"{title}: {main}", rows[:MAX_ROWS], letter, counted=counted)
        if len(rows) > MAX_ROWS:
            yield f"and {len(rows) - MAX_ROWS} more (--json has all)"


def _format_table(
    title: str, rows: Sequence[PairedDifference], letter: str, *, counted: str = ""
) -> Iterator[str]:
    """Yield the rows; a star marks a difference that is shown."""
    width = min(MAX_NAME, max(len(title), *(len(row.name) for row in rows)))
    head = f"{'A':>6} {letter:>7}  {letter} - A (95% interval){'':10} {'p':>6}"
    yield f"{title[:width].ljust(width)} {head}{f'  {counted}' if counted else ''}"
    for row in rows:
        interval = f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
        star = "*" if row.p_value < SIGNIFICANCE else " "
        line = f"{_cut(row.name, width).ljust(width)} {row.first:6.3f} {row.second:7.3f}  {interval:<29} "
        line += f"{format_p_value(row.p_value):>6} {star}"
        yield f"{line} {row.objects:7,}".rstrip() if counted else line.rstrip()


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"

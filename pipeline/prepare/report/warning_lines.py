"""The report's warnings for the console: a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.core.text import format_count
from pipeline.prepare.report.warnings import BiasWarning

REPORT_FILE: Final = "report.html"
MAX_WARNING_LINES: Final = 5
"""Lines on the console, the one about the report included."""


def format_warning_lines(warnings: Sequence[BiasWarning], report: str) -> list[str]:
    """Return a line for each kind of warning, the most severe first, and one that says where all are.

    Args:
        warnings: As `find_warnings` returns them.
        report: Where they are with pictures and charts, in words.
    """
    kinds: dict[str, list[str]] = {}
    for warning in warnings:
        kinds.setdefault(warning.kind, []).append(warning.text)
    shown = list(kinds.items())[: MAX_WARNING_LINES - 1]
    lines = [
        f"warning: {kind}: {texts[0]}{f' (and {len(texts) - 1} more)' if len(texts) > 1 else ''}"
        for kind, texts in shown
    ]
    left = len(kinds) - len(shown)
    more = f"{format_count(left, 'more warning')}, " if left else ""
    return [*lines, f"{more}pictures and charts: {report}"]

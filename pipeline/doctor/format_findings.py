"""Format findings for a terminal of 80 columns, and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.core.text import format_count
from pipeline.doctor.check_finding import STATES, CheckFinding, RepairOutcome, count_states

WIDTH: Final = 80
_STATE_WIDTH: Final = 9
_NAME_WIDTH: Final = 14
_INDENT: Final = " " * (_STATE_WIDTH + _NAME_WIDTH)


def format_finding(finding: CheckFinding) -> Iterator[str]:
    """Yield the lines of a finding: state, check, what was seen; below it what to do."""
    head = f"{finding.state:{_STATE_WIDTH}}{finding.check:{_NAME_WIDTH}}"
    yield from _wrap(finding.seen, head)
    if finding.advice:
        yield from _wrap(finding.advice, f"{_INDENT}-> ")


def format_repair(repair: RepairOutcome) -> Iterator[str]:
    """Yield the lines that say what was mended, or why it was not."""
    state = "mended" if repair.is_done else "failed"
    yield from _wrap(repair.sentence, f"{state:{_STATE_WIDTH}}{repair.check:{_NAME_WIDTH}}")


def format_summary(findings: Sequence[CheckFinding], *, fix: bool) -> str:
    """Return one line that counts the findings, and says how the safe ones are mended."""
    numbers = count_states(findings)
    line = ", ".join(
        (
            f"{numbers['ok']} ok",
            format_count(numbers["warning"], "warning"),
            format_count(numbers["fault"], "fault"),
        )
    )
    mendable = sum(finding.repair is not None for finding in findings)
    return f"{line}; `finetrack doctor --fix` mends {mendable} of them" if mendable and not fix else line


def format_json(
    findings: Sequence[CheckFinding], repairs: Sequence[RepairOutcome], *, ascii_only: bool
) -> str:
    """Return findings, what was mended and the numbers as JSON.

    Args:
        findings: As they are now.
        repairs: What came of each repair.
        ascii_only: Whether the output takes no other characters.
    """
    rows = [
        {**finding._asdict(), "advice": finding.advice or None, "repair": finding.repair is not None}
        for finding in findings
    ]
    numbers = count_states(findings)
    content = {
        "findings": rows,
        "repairs": [
            {"check": repair.check, "done": repair.is_done, "did": repair.sentence} for repair in repairs
        ],
        "count": {state: numbers[state] for state in STATES},
    }
    return json.dumps(content, indent=2, ensure_ascii=ascii_only, allow_nan=False)


def _wrap(text: str, head: str) -> Iterator[str]:
    """Yield the lines of a text; paths and commands are not cut, so that they can be copied."""
    indent = " " * len(head) if head.startswith(_INDENT) else _INDENT
    yield from textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]

"""Pytest plugin of `make faults`: run the tests that inject a fault, and write their outcomes as a table.

A test that injects a fault has the marker `fault(promise, what)`: the number of the promise in
docs/reliability.md, and the fault in a few words. Tests with the same words are one row, and each of their
parameters is a try; a test that injects a fault several times says so with `record_property("tries", 20)`.
Below the table of all faults, a second one has a row for each promise.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

BEGIN, END = "<!-- faults -->", "<!-- end of faults -->"
PROMISES = range(1, 16)
NAMED_FAULTS = 3
"""Faults that the row of a promise names: those with the most tries."""
Row = tuple[int, str]


class FaultOutcome(NamedTuple):
    """Outcome of a test: passed, failed or skipped, and how often it injected the fault."""

    outcome: str
    tries: int


class FaultTable:
    """Collects the outcomes of all tests with the marker, also those of xdist's workers."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[Row, dict[str, FaultOutcome]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome of a test; an error in its setup or teardown counts as a failure."""
        found = dict(report.user_properties)
        if "fault" not in found or (report.when != "call" and report.passed):
            return
        promise, what = found["fault"]  # type: ignore[misc]
        outcomes = self.rows[int(promise), str(what)]
        if report.when == "call" or report.nodeid not in outcomes or report.failed:
            outcomes[report.nodeid] = FaultOutcome(report.outcome, int(found.get("tries", 1)))  # type: ignore[call-overload]

    def pytest_sessionfinish(self) -> None:
        """Write the table between the two comment lines of the file."""
        if not self.rows:
            return
        text = self.file.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        table = "\n".join([*self.format_rows(), "", *self.format_summary(read_promises(before))])
        self.file.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")

    def format_rows(self) -> list[str]:
        """Format the table in Markdown, by promise."""
        lines = ["| promise | fault | tries | held |", "|---|---|---|---|"]
        for (promise, what), outcomes in sorted(self.rows.items()):
            counts = count_outcomes(outcomes)
            tried = counts["passed"] + counts["failed"]
            skipped = f" ({counts['skipped']} not possible here)" if counts["skipped"] else ""
            lines.append(f"| {promise} | {what} | {tried}{skipped} | {counts['passed']} |")
        return lines

    def format_summary(self, promises: dict[int, str]) -> list[str]:
        """Format a row for each promise: its words, its faults, their tries, and whether it held."""
        lines = ["| promise | fault | tries | outcome |", "|---|---|---|---|"]
        for promise in PROMISES:
            tries: dict[str, int] = defaultdict(int)
            lost = 0
            for (number, what), outcomes in self.rows.items():
                if number == promise:
                    counts = count_outcomes(outcomes)
                    tries[what] += counts["passed"] + counts["failed"]
                    lost += counts["failed"]
            total = sum(tries.values())
            outcome = f"{lost} did not hold" if lost else "held" if total else "not provoked"
            words = promises.get(promise, "")
            lines.append(f"| {promise}. {words} | {name_faults(tries)} | {total} | {outcome} |")
        return lines


def count_outcomes(outcomes: dict[str, FaultOutcome]) -> dict[str, int]:
    """Add up the tries of some tests by their outcome."""
    counts: dict[str, int] = defaultdict(int)
    for outcome, tries in outcomes.values():
        counts[outcome] += tries
    return counts


def name_faults(tries: dict[str, int]) -> str:
    """Name the faults with the most tries, and count the others."""
    ordered = sorted(tries, key=lambda what: (-tries[what], what))
    rest = len(ordered) - NAMED_FAULTS
    return "; ".join(ordered[:NAMED_FAULTS]) + (f"; {rest} more" if rest > 0 else "")


def read_promises(text: str) -> dict[int, str]:
    """Return the promises of the page's numbered list, each up to its first colon or semicolon."""
    found = re.findall(r"(?m)^(\d+)\. ([^:;\n]*[^:;.\n])", text)
    return {int(number): words for number, words in found}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fault-table."""
    parser.addoption("--fault-table", type=Path, help="the Markdown file that the table is written into")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the outcomes in the process that starts the workers."""
    file = config.getoption("fault_table")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FaultTable(file))


def pytest_itemcollected(item: Any) -> None:
    """Hand the marker on with the test's reports."""
    mark = item.get_closest_marker("fault")
    if mark:
        item.user_properties.append(("fault", list(mark.args)))

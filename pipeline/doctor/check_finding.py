"""What a check found: a state, what was seen, what to do, and how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

FindingState = Literal["ok", "warning", "fault"]
STATES: Final[tuple[FindingState, ...]] = ("ok", "warning", "fault")
Repair = Callable[[], str]
"""Mends what was found, and returns what it did in one sentence."""


class CheckFinding(NamedTuple):
    """What a check found.

    Attributes:
        state: `fault`: something does not work, or a record is wrong. `warning`: it may do harm.
        seen: What was seen, in one sentence.
        advice: What to do; empty where nothing is to be done.
        repair: Mends it without any risk; None where the user has to act.
        check: The name of the check; `run_check` sets it.
    """

    state: FindingState
    seen: str
    advice: str = ""
    repair: Repair | None = None
    check: str = ""


class RepairOutcome(NamedTuple):
    """What came of a repair.

    Attributes:
        check: The check that offered it.
        sentence: What was done, or why nothing was.
        is_done: Whether it was done.
    """

    check: str
    sentence: str
    is_done: bool


def count_states(findings: Iterable[CheckFinding]) -> Counter[str]:
    """Count the findings of each state."""
    return Counter(finding.state for finding in findings)

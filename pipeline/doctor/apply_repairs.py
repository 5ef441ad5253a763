"""Mend what is safe to mend, then check again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.doctor.check_finding import CheckFinding, Repair, RepairOutcome
from pipeline.doctor.check_list import CHECKS
from pipeline.doctor.run_checks import run_check

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject


class RepairReport(NamedTuple):
    """What was mended, and what is left.

    Attributes:
        repairs: What came of each repair, in order.
        findings: As they are afterwards.
    """

    repairs: list[RepairOutcome]
    findings: list[CheckFinding]


def apply_repairs(findings: Sequence[CheckFinding], examine: Callable[[], ExaminedProject]) -> RepairReport:
    """Make the repairs that findings offer, and repeat the checks that had some.

    Args:
        findings: Of all checks.
        examine: Reads the project anew.
    """
    repairs = [_repair(item.check, item.repair) for item in findings if item.repair is not None]
    if not repairs:
        return RepairReport([], list(findings))
    project, mended = examine(), {repair.check for repair in repairs}
    return RepairReport(repairs, [*_check_again(findings, project, mended)])


def _check_again(
    findings: Sequence[CheckFinding], project: ExaminedProject, mended: set[str]
) -> Iterator[CheckFinding]:
    """Yield the findings of all checks in order, those of mended checks as they are now."""
    for check in CHECKS:
        if check.name in mended:
            yield from run_check(project, check)
        else:
            yield from (item for item in findings if item.check == check.name)


def _repair(check: str, repair: Repair) -> RepairOutcome:
    try:
        return RepairOutcome(check, repair(), is_done=True)
    except UserError as error:
        return RepairOutcome(check, f"nothing was done: {error}", is_done=False)
    except Exception as error:
        reason = describe_machine_error(error) or f"{type(error).__name__}: {error}"
        sentence = f"nothing was done, or only a part: {' '.join(reason.split())[:300]}"
        return RepairOutcome(check, sentence, is_done=False)

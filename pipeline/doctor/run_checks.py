"""Run the checks one after another, each within its time; a check that fails is a finding, too."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError, describe_missing_module
from pipeline.core.machine_errors import describe_machine_error
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.check_list import CHECKS, DoctorCheck

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

CheckFunction = Callable[["ExaminedProject"], Iterable[CheckFinding]]


def run_checks(project: ExaminedProject, checks: Sequence[DoctorCheck] = CHECKS) -> Iterator[CheckFinding]:
    """Yield the findings of all checks; nothing is changed.

    Args:
        project: What is checked.
        checks: In this order.
    """
    project.start_torch()
    try:
        for check in checks:
            yield from run_check(project, check)
    finally:
        project.close()


def run_check(project: ExaminedProject, check: DoctorCheck) -> list[CheckFinding]:
    """Run one check; return its findings, or that it failed, or took longer than it may.

    A check that hangs, as on a network disk that is away, is left to itself: its thread does not keep the
    command from ending.
    """
    found: list[CheckFinding] = []
    thread = threading.Thread(target=_collect, args=(project, check, found), daemon=True)
    thread.start()
    thread.join(check.seconds)
    if thread.is_alive():
        seen = f"no answer within {check.seconds:g} s"
        found = [*found, CheckFinding("fault", seen, "find out what hangs: a disk, a server, a driver")]
    return [finding._replace(check=check.name) for finding in found]


def _collect(project: ExaminedProject, check: DoctorCheck, found: list[CheckFinding]) -> None:
    try:
        found.extend(_load(check)(project))
    except UserError as error:
        found.append(CheckFinding("fault", str(error)))
    except ModuleNotFoundError as error:
        found.append(CheckFinding("fault", describe_missing_module(error)))
    except Exception as error:
        found.append(_describe_failure(error))


def _load(check: DoctorCheck) -> CheckFunction:
    module, _, function = check.function.partition(":")
    loaded: CheckFunction = getattr(importlib.import_module(f"pipeline.doctor.{module}"), function)
    return loaded


def _describe_failure(error: Exception) -> CheckFinding:
    """Return a finding for an error of the machine, or for one that the check did not expect."""
    sentence = describe_machine_error(error)
    if sentence is not None:
        return CheckFinding("fault", sentence)
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return CheckFinding("warning", f"the check could not be made ({reason})")

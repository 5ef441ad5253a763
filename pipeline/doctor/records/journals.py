"""Find messages that wait in .finetrack/outbox for MLflow, and send them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding, Repair
from pipeline.doctor.leftovers.file_locks import is_record_locked
from pipeline.tracking.examination.waiting_outboxes import WaitingOutbox, list_waiting_outboxes

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject


def check_journals(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find messages of commands that have ended, for this store and for others."""
    found = list_waiting_outboxes(project.scratch / "outbox")
    free = [outbox for outbox in found if not is_record_locked(outbox.folder / "lock")]
    left = [outbox for outbox in free if outbox.waiting or not outbox.is_ended]
    uri = project.target.uri if project.target else ""
    yield from _describe_waiting(project, [outbox for outbox in left if outbox.uri == uri], uri)
    yield from _describe_foreign([outbox for outbox in left if outbox.uri != uri])
    if not left:
        used = len(found) - len(free)
        more = f"; {format_count(used, 'command is sending', 'commands are sending')}" if used else ""
        yield CheckFinding("ok", f"no messages wait for MLflow{more}")


def is_readable(project: ExaminedProject) -> bool:
    """Return whether the store can be read; the check of MLflow says why not."""
    target = project.target
    if target is None or target.database is None:
        try:
            return target is not None and project.server is not None
        except UserError:
            return False
    state = project.database_state
    return state is None or state.problem not in {"no-database", "damaged", "foreign", "newer"}


def choose_sending(project: ExaminedProject) -> Repair | None:
    """Return the repair that sends messages; None where the store cannot be used, or would be upgraded."""
    state = project.database_state
    usable = is_readable(project) and (state is None or state.problem is None)
    return partial(send_journals, project) if usable else None


def send_journals(project: ExaminedProject) -> str:
    """Send what waits for the store, and close runs of processes that have ended, as `finetrack send` does.

    Raises:
        UserError: Something is left, with the reason.
    """
    from pipeline.tracking.delivery_report import describe_delivery, require_delivery
    from pipeline.tracking.runs import send_missed

    if project.target is None:
        raise UserError("it is unknown where runs are logged to")
    report = send_missed(project.target)
    require_delivery(report, project.target.uri)
    closed = "closed the runs of processes that have ended"
    return f"{describe_delivery(report, project.target.uri)}, and {closed}" if report.sent else closed


def _describe_waiting(
    project: ExaminedProject, left: Sequence[WaitingOutbox], uri: str
) -> Iterator[CheckFinding]:
    if left:
        number = sum(outbox.waiting for outbox in left)
        sent = f"{format_count(number, 'message')} not sent" if number else "its run not closed"
        what = format_count(len(left), "command that has ended", "commands that have ended")
        seen = f"{what} left {sent}, for MLflow at {uri}, on {_format_day(left)} or later"
        advice = "run `finetrack send`; each stage sends them, too"
        yield CheckFinding("warning", seen, advice, choose_sending(project))


def _describe_foreign(left: Sequence[WaitingOutbox]) -> Iterator[CheckFinding]:
    """Report messages for stores that the configuration does not name now; they are not sent there."""
    for uri in dict.fromkeys(outbox.uri for outbox in left):
        those = [outbox for outbox in left if outbox.uri == uri]
        what = format_count(len(those), "run waits", "runs wait")
        if uri:
            seen = f"{what} for MLflow at {uri}, which is not the store of the configuration"
            advice = f"set tracking.uri={uri}, run `finetrack send`, and set it back"
        else:
            seen, advice = f"{what} for an unknown store in .finetrack/outbox", "look at its head.json"
        yield CheckFinding("warning", seen, advice)


def _format_day(left: Sequence[WaitingOutbox]) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(left[0].changed))

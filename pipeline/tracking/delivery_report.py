"""Report what was sent of the messages of earlier commands, and what is left."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.tracking.store.outage import describe_failure


@dataclass
class DeliveryReport:
    """What was sent of the messages of earlier commands, and what was not.

    Attributes:
        sent: The number of runs, metrics and files that were sent.
        missing: What MLflow lacks although it was sent, each in one phrase.
        failures: Why messages could not be sent, each reason once.
        waiting: The number of runs with unsent messages.
    """

    sent: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    waiting: int = 0

    def add_failure(self, error: Exception) -> None:
        """Add why messages could not be sent."""
        reason = describe_failure(error)
        if reason not in self.failures:
            self.failures.append(reason)


def describe_delivery(report: DeliveryReport, uri: str) -> str:
    """Describe what was sent, in one line."""
    if not report.sent["runs"] and not any(report.sent.values()):
        return f"nothing was sent to MLflow at {uri}" if report.waiting else "nothing waits to be sent"
    runs, metrics, files = (format_count(report.sent[f"{what}s"], what) for what in ("run", "metric", "file"))
    return f"sent {metrics} and {files} of {runs} to MLflow at {uri}"


def require_delivery(report: DeliveryReport, uri: str) -> None:
    """Raise where something is left or missing.

    Raises:
        UserError: Messages wait, with the reason; or MLflow lacks something that was sent.
    """
    reasons = "; ".join(report.failures)
    if report.waiting:
        what = format_count(report.waiting, "run waits", "runs wait")
        raise UserError(
            f"{what} in .finetrack/outbox for MLflow at {uri}: {reasons or 'another command sends'}"
        )
    if report.failures:
        raise UserError(f"nothing waits, but MLflow at {uri} could not be asked for runs to close: {reasons}")
    if report.missing:
        raise UserError(
            f"MLflow at {uri} lacks what was sent: {'; '.join(report.missing)}; "
            "the files of the iteration are in this folder, and in DVC"
        )

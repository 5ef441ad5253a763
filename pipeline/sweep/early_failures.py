"""Notice that all jobs of a sweep fail alike before their training, such as for a leak in the images."""

from __future__ import annotations

from typing import Final

from pipeline.sweep.job import JobResult, StageBegan

MAX_EQUAL_FAILURES: Final = 3
"""After so many jobs with the same reason, of which none began to train, the others would fail, too."""
LOG_HINT: Final = " (all of it: "
"""Begins the part of a reason that names the job's own log."""


class EarlyFailures:
    """Counts the jobs of one process that failed before `finetune`, by their reason."""

    def __init__(self) -> None:
        self._training: set[int] = set()
        self._reasons: dict[str, int] = {}
        self._any_trained = False

    def note_stage(self, event: StageBegan) -> None:
        """Note that a job began a stage."""
        if event.stage == "finetune":
            self._training.add(event.number)

    def find_common_reason(self, result: JobResult) -> str | None:
        """Return why all jobs fail, once enough of them failed alike and none began to train; else None.

        Args:
            result: Of a job that has ended.
        """
        if result.job.number in self._training or result.status != "failed":
            self._any_trained |= result.status != "killed"
            return None
        reason = (result.reason or "no reason is known").split(LOG_HINT)[0]
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        enough = self._reasons[reason] >= MAX_EQUAL_FAILURES and not self._any_trained
        return reason if enough else None

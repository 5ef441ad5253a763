"""Check that the trainings of a sweep whose images are the same are scored on the same val images.

`prepare` starts from the split history of the project, which `dvc repro` beside a sweep may change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.core.paths import SPLITS_FILE
from pipeline.sweep.experiments import find_experiment_commit, read_committed_file
from pipeline.sweep.job import JobResult

_SCORED: Final = {"trained", "restored"}


class SplitCheck:
    """Compares the split of each training with that of the first one of the same images.

    Args:
        project: The project's folder.
        earlier: Results of earlier processes.
    """

    def __init__(self, project: Path, earlier: Sequence[JobResult]) -> None:
        self._project = project
        self._known: dict[str, tuple[str, str]] = {}
        self._earlier = [row for row in earlier if row.status in _SCORED]

    def find_problem(self, result: JobResult) -> str | None:
        """Return why a training cannot be compared with the others, in a sentence; None if it can."""
        if result.status not in _SCORED:
            return None
        for row in self._earlier:
            if row.job.shared not in self._known:  # one of each is enough
                self._note(row)
        self._earlier = []
        known, own = self._known.get(result.job.shared), self._note(result)
        if known is None or own is None or known[1] == own:
            return None
        return (
            f"its images were divided otherwise than those of {known[0]}, as by a `dvc repro` beside the "
            "sweep, so it cannot be compared: run the command again with another sweep.name"
        )

    def _note(self, result: JobResult) -> str | None:
        """Return a digest of the split of a training, and keep the first one of these images."""
        commit = find_experiment_commit(self._project, result.job.experiment)
        split = read_committed_file(self._project, commit, SPLITS_FILE) if commit else None
        if split is None:
            return None
        digest = hashlib.sha256(split.encode()).hexdigest()
        self._known.setdefault(result.job.shared, (result.job.experiment, digest))
        return digest

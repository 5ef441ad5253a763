"""Check that the trainings of a sweep whose images are the same are scored on the same val images.

`prepare` starts from the split history of the project, which `dvc repro` beside a sweep may change, and which
may be another one in another clone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
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
        list_results: Lists the results of the sweep as they are now, those of other processes too.
        compute_key: Returns a text that is the same for overrides with which `prepare` does the same.
    """

    def __init__(
        self,
        project: Path,
        *,
        list_results: Callable[[], Iterable[JobResult]],
        compute_key: Callable[[tuple[str, ...]], str],
    ) -> None:
        self._project = project
        self._list_results, self._compute_key = list_results, compute_key
        self._keys: dict[tuple[str, ...], str] = {}

    def find_problem(self, result: JobResult) -> str | None:
        """Return why a training cannot be compared with the others, in a sentence; None if it can."""
        own = self._find_split(result)
        if own is None:
            return None
        key = self._find_key(result)
        for row in self._list_results():
            if row.job.number == result.job.number or self._find_key(row) != key:
                continue
            first = self._find_split(row)
            if first is not None:
                return None if first == own else _describe_difference(row)
        return None

    def _find_key(self, result: JobResult) -> str:
        overrides = result.job.overrides
        if overrides not in self._keys:
            self._keys[overrides] = self._compute_key(overrides)
        return self._keys[overrides]

    def _find_split(self, result: JobResult) -> str | None:
        """Return the digest of the split of a training; None where it has none, or it is not known."""
        if result.status not in _SCORED:
            return None
        return result.split or self._read_split(result)

    def _read_split(self, result: JobResult) -> str | None:
        """Read the split from the experiment: results that earlier versions stored lack the digest."""
        commit = find_experiment_commit(self._project, result.job.experiment)
        split = read_committed_file(self._project, commit, SPLITS_FILE) if commit else None
        return None if split is None else digest_split(split)


def digest_split(text: str) -> str:
    """Return a digest of the text of reports/splits.json, as 64 hexadecimal digits."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def _describe_difference(first: JobResult) -> str:
    return (
        f"its images were divided otherwise than those of {first.job.experiment}, as by a `dvc repro` beside "
        "the sweep or in another clone, so it cannot be compared: start from one splits.lock.json, and run "
        "the command again with another sweep.name"
    )

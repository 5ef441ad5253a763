"""A point that this process runs, and which of its repetitions may start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from optuna.trial import FrozenTrial

from pipeline.sweep.job import JobResult
from pipeline.sweep.space.search_space import PointValues
from pipeline.sweep.study.check_settings import FINISHED, JudgedRepetitions
from pipeline.sweep.study.database import records


class PlannedTraining(NamedTuple):
    """A training that is to be started now.

    Attributes:
        number: The number of its job, from 0; the same whenever it runs.
        point: The number of its point.
        repetition: Which of the seeds and folds of its point, from 0.
        values: The values of the point.
        overrides: Those of seed and fold, such as `seed=1`; those of the point are the search space's.
        attempt: Which start of this job it is, from 1.
    """

    number: int
    point: int
    repetition: int
    values: PointValues
    overrides: tuple[str, ...]
    attempt: int


@dataclass
class OpenPoint:
    """A point that this process runs.

    Args:
        trial_id: Optuna's id of its trial.
        number: Its number.
        values: Its values.
        results: The results of repetitions that have one that counts.
        curves: The val metric of each epoch, by repetition.
        pruned_at: The epoch after which the first repetition was told to end; None if it was not.
        running: The repetitions that run now.
        failed: Whether a repetition failed or was killed in this process.
        behind: Whether no further repetition is to be started.
    """

    trial_id: int
    number: int
    values: PointValues
    results: dict[int, JobResult]
    curves: dict[int, dict[int, float]]
    pruned_at: int | None = None
    running: set[int] = field(default_factory=set)
    failed: bool = False
    behind: bool = False

    def find_startable(self, count: int, judged: JudgedRepetitions) -> int | None:
        """Return the first repetition that may start now; None if there is none.

        Args:
            count: How many repetitions a point has.
            judged: Which repetitions a pruner judges: those after them wait for what it decides.
        """
        waits = judged == "each" or (judged == "first" and 0 not in self.results)
        if self.failed or self.behind or (waits and self.running):
            return None
        ready = (each for each in range(count) if each not in self.results and each not in self.running)
        return next(ready, None)

    def is_done(self, count: int) -> bool:
        """Return whether nothing runs, and nothing is to be started in this process."""
        ended = self.failed or self.behind or len(self.results) == count
        return ended and not self.running


def read_open_point(trial: FrozenTrial, values: PointValues) -> OpenPoint:
    """Return a trial as a point to run: what is finished is kept, what failed runs again."""
    results = {
        repetition: result
        for repetition, result in records.read_results(trial).items()
        if result.status in FINISHED
    }
    return OpenPoint(
        trial_id=trial._trial_id,
        number=trial.number,
        values=values,
        results=results,
        curves=records.read_curves(trial),
        pruned_at=trial.user_attrs.get(records.PRUNED),
        behind=any(result.status == "pruned" for result in results.values()),
    )

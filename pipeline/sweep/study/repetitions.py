"""The repetitions of a point: its seeds and folds, and the numbers of their jobs."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.sweep.settings import SweepSettings


class Repetitions(NamedTuple):
    """How often each point is trained.

    Attributes:
        seeds: Number of seeds, at least 1.
        folds: Number of folds; None without cross-validation.
        base_seed: The first seed of the trainings.
    """

    seeds: int
    folds: int | None
    base_seed: int

    @property
    def total(self) -> int:
        """The number of trainings of each point."""
        return self.seeds * (self.folds or 1)

    def build_overrides(self, repetition: int) -> tuple[str, ...]:
        """Return the overrides of a repetition: its seed and its fold. Folds change faster than seeds."""
        seed, fold = divmod(repetition, self.folds or 1)
        seeds = (f"seed={self.base_seed + seed}",) if self.seeds > 1 else ()
        folds = (f"data.folds={self.folds}", f"data.fold={fold}") if self.folds else ()
        return (*seeds, *folds)

    def compute_job_number(self, point: int, repetition: int) -> int:
        """Return the number of a job: the same whenever it runs, on whichever machine."""
        return point * self.total + repetition

    def locate_job(self, number: int) -> tuple[int, int]:
        """Return point and repetition of a job."""
        return divmod(number, self.total)


def get_repetitions(settings: SweepSettings, base_seed: int) -> Repetitions:
    """Return how often each point of a sweep is trained."""
    return Repetitions(settings.seeds, settings.folds, base_seed)

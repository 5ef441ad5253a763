"""What makes the results and the numbers of the jobs of a study comparable."""

from __future__ import annotations

from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study.check_settings import resolve_sampler
from pipeline.sweep.study.repetitions import get_repetitions
from pipeline.sweep.study.sampling.samplers import derive_seed
from pipeline.sweep.study.study_inputs import StudyInputs, format_point


def build_study_identity(space: SearchSpace, settings: SweepSettings, inputs: StudyInputs) -> dict[str, str]:
    """Return what makes results and numbers of jobs comparable, by a name for people.

    Args:
        space: The search space.
        settings: The settings of the sweep.
        inputs: See `StudyInputs`.
    """
    repetitions = get_repetitions(settings, inputs.base_seed)
    grid = inputs.list_grid(space) if resolve_sampler(space, settings) == "grid" else None
    own = {
        "search space": f"{derive_seed(space.axes):x}",
        "sweep.objectives": " ".join(settings.objectives or ("",)),
        "sweep.constraints": "; ".join(settings.constraints),
        "sweep.seeds": str(repetitions.seeds),
        "sweep.folds": str(repetitions.folds),
        "sweep.test": str(settings.test),
        "seed": str(repetitions.base_seed),
        "points of the grid": "" if grid is None else f"{derive_seed(*map(format_point, grid)):x}",
        "steps of pruning": "repetitions" if settings.pruner == "wilcoxon" else "epochs",
    }
    return {**own, **inputs.identity}

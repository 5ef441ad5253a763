"""Open the study of a sweep."""

from __future__ import annotations

from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study.check_settings import check_study_settings
from pipeline.sweep.study.database.address import parse_storage_address
from pipeline.sweep.study.database.store import Direction, StudyStore
from pipeline.sweep.study.objectives import is_minimized
from pipeline.sweep.study.sampling.distributions import build_distributions
from pipeline.sweep.study.study_identity import build_study_identity
from pipeline.sweep.study.study_inputs import StudyInputs
from pipeline.sweep.study.sweep_study import SweepStudy


def open_study(space: SearchSpace, settings: SweepSettings, inputs: StudyInputs) -> SweepStudy:
    """Open the study of a sweep; one of the same name goes on where it stopped.

    Args:
        space: The search space.
        settings: With a name.
        inputs: See `StudyInputs`.

    Raises:
        UserError: The settings do not fit, the database cannot be used, or the study has other inputs.
    """
    if settings.name is None:
        raise ValueError("the sweep has no name")
    check_study_settings(space, settings)
    build_distributions(space)
    objectives = settings.objectives or ("",)
    directions: list[Direction] = ["minimize" if is_minimized(name) else "maximize" for name in objectives]
    identity = build_study_identity(space, settings, inputs)
    store = StudyStore(parse_storage_address(settings.storage), settings.name, directions)
    try:
        study = SweepStudy(store, space=space, settings=settings, inputs=inputs)
        store.retry(lambda: store.require_identity(identity))
    except BaseException:
        store.close()
        raise
    return study

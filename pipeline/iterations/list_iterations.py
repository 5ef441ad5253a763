"""List the iterations of the project: MLflow's runs, and results in DVC that no run has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.iterations.commits_of_runs import (
    RecordedCommits,
    add_commits,
    identify_results,
    read_recorded_commits,
)
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.recorded_iteration import list_experiment_iterations, list_revision_iterations
from pipeline.iterations.tracked_iteration import (
    build_run_iteration,
    get_training_id,
    is_evaluation,
    is_training,
)
from pipeline.storage.git_history import GitExperiment
from pipeline.tracking.store.registered_models import ModelVersionRecord, list_model_versions
from pipeline.tracking.store.tracked_runs import RunReader, TrackedRun, TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget


class KnownIterations(NamedTuple):
    """The iterations that could be read.

    Attributes:
        iterations: The newest first.
        outage: Why MLflow's are missing; None if they are there.
    """

    iterations: list[Iteration]
    outage: str | None


def list_iterations(target: TrackingTarget, *, registry_name: str | None = None) -> list[Iteration]:
    """List the runs of trainings and evaluations, and what DVC has beside them, the newest first.

    Parents of sweeps are left out. An evaluation that has a run of its own is an iteration of its own: the
    same weights with other results.

    Args:
        target: MLflow's store and experiment.
        registry_name: The registered model whose versions and aliases are shown; None for none.

    Raises:
        UserError: MLflow does not answer.
    """
    reader = RunReader(target)
    recorded = read_recorded_commits()
    tracked = _list_tracked(reader, registry_name)
    iterations = add_commits(tracked, recorded)
    return _sort([*iterations, *_list_untracked(iterations, recorded)])


def list_known_iterations(target: TrackingTarget, *, registry_name: str | None = None) -> KnownIterations:
    """List the iterations as `list_iterations` does; those of DVC alone if MLflow does not answer."""
    try:
        return KnownIterations(list_iterations(target, registry_name=registry_name), None)
    except TrackingUnavailableError as error:
        return KnownIterations(_sort(_list_untracked([], read_recorded_commits())), str(error))


def _list_tracked(reader: RunReader, registry_name: str | None) -> list[Iteration]:
    runs = reader.search_runs()
    trainings = {run.run_id: run for run in runs if is_training(run)}
    versions = _group_versions(list_model_versions(reader, registry_name) if registry_name else [])
    return [
        build_run_iteration(
            run, training=_find_training(run, trainings), version=_choose_version(versions.get(run.run_id))
        )
        for run in runs
        if is_training(run) or is_evaluation(run)
    ]


def _find_training(run: TrackedRun, trainings: Mapping[str, TrackedRun]) -> TrackedRun | None:
    return None if is_training(run) else trainings.get(get_training_id(run) or "")


def _group_versions(versions: Iterable[ModelVersionRecord]) -> dict[str, list[ModelVersionRecord]]:
    found: dict[str, list[ModelVersionRecord]] = {}
    for version in versions:
        if version.run_id:
            found.setdefault(version.run_id, []).append(version)
    return found


def _choose_version(versions: Sequence[ModelVersionRecord] | None) -> ModelVersionRecord | None:
    """Choose the version that a run is shown as: one with an alias, the newest of these."""
    return max(versions or (), key=lambda item: (bool(item.aliases), int(item.version)), default=None)


def _list_untracked(tracked: Sequence[Iteration], recorded: RecordedCommits) -> list[Iteration]:
    """List experiments and commits with results that no run has, each result once."""
    shown = {item.revision for item in tracked}
    known = {identify_results(item.metrics, item.facts.get("seconds")) for item in tracked}
    missing: list[GitExperiment] = []
    for experiment in recorded.experiments:
        results = recorded.results.get(experiment.commit)
        if experiment.commit not in shown and (results is None or results not in known):
            missing.append(experiment)
    known |= {recorded.results.get(item.commit) for item in missing}
    commits = []
    for commit, results in recorded.results.items():
        if results not in known:
            known.add(results)
            commits.append(commit)
    return list_experiment_iterations(missing) + list_revision_iterations(commits)


def _sort(iterations: Iterable[Iteration]) -> list[Iteration]:
    return sorted(iterations, key=lambda item: item.facts.get("started", 0.0), reverse=True)

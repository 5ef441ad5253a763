"""Find what MLflow and git have of an iteration: its commit, the changes beside it, locks and results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import (
    COMPOSE_LOCK_FILE,
    EVALUATION_FOLDER,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    SPLITS_FILE,
    SPLITS_LOCK_FILE,
    TEST_METRICS_FILE,
    TRAINING_METRICS_FILE,
    TRAINING_PLOTS_FOLDER,
)
from pipeline.iterations.iteration import Iteration
from pipeline.runtime.run_state import CHANGES_FILE, RECORDED_FILES, STATE_FILE, STATE_FOLDER
from pipeline.storage.files import hash_file
from pipeline.storage.finished_trainings import DVC_LOCK_FILE
from pipeline.tracking.store.run_files import download_run_files
from pipeline.tracking.store.tracked_runs import RunReader, TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget

NEEDED_FILES: Final = (PARAMS_FILE, COMPOSE_LOCK_FILE, DVC_LOCK_FILE, SPLITS_FILE, TRAINING_METRICS_FILE)
"""Without these DVC cannot know that nothing has to be run. splits.lock.json came later than the others."""
TEST_PREFIX: Final = "test/"


@dataclass(frozen=True)
class RecordedState:
    """What is recorded of an iteration.

    Args:
        label: For people.
        commit: The commit of its code.
        patch: What differed from the commit; None if nothing did, or nobody logged it.
        unlogged: Why changes beside the commit are not known; empty where they are, or there were none.
        files: Files to write over those of the commit, by their paths in the project; empty for a commit that
            has all of them.
        folders: Logged outputs of stages by their paths in the project, for those that DVC does not have.
        stage: The last stage whose entry in dvc.lock is of this iteration.
        is_evaluated: Whether it has results on test.
        metrics: By the names in MLflow.
        data: The digest of data/prepared; None if unknown.
        sha256: Of the weights.
        versions: Of libraries, as they were for the evaluation, or else for the training.
        machine: As `describe_machine` describes it; empty if unknown.
    """

    label: str
    commit: str
    sha256: str
    patch: Path | None = None
    unlogged: str = ""
    files: Mapping[Path, bytes] = field(default_factory=dict)
    folders: Mapping[Path, Path] = field(default_factory=dict)
    stage: str = "evaluate"
    is_evaluated: bool = True
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)


def read_recorded_state(iteration: Iteration, target: TrackingTarget, folder: Path) -> RecordedState:
    """Read what is recorded of an iteration.

    Args:
        iteration: See `resolve_reference`.
        target: MLflow's store and experiment.
        folder: Receives the files of the run; it exists.

    Raises:
        UserError: Too little is recorded to restore it; the sentence names what.
    """
    _require_finished(iteration)
    training = iteration.facts.get("training") or iteration.run_id
    logged = _LoggedFiles(RunReader(target), folder)
    is_committed = iteration.kind in {"experiment", "revision"} and iteration.revision is not None
    if is_committed or training is None:
        return _add_machine(_describe_commit(iteration), iteration, logged)
    stage = next(
        (
            stage
            for stage, run in (("evaluate", iteration.run_id), ("finetune", training))
            if run and logged.fetch(run, f"{STATE_FOLDER}/{stage}")
        ),
        None,
    )
    if stage is None:
        return _describe_older_run(iteration)
    return _describe_run(iteration, logged, training, stage)


def _require_finished(iteration: Iteration) -> None:
    name = iteration.reference
    if iteration.kind == "file":
        raise UserError(f"{name} is a file, which says nothing about its training: name a run")
    if iteration.status not in {None, "FINISHED"}:
        raise UserError(f"{name} is {iteration.status}: only a training that has finished can be restored")
    if iteration.sha256 is None:
        raise UserError(f"{name} has no record of its weights: only a training that has finished has one")
    if iteration.kind == "revision" and iteration.revision is None and iteration.run_id is None:
        raise UserError(f"{name} has no run and no commit: name a run of `finetrack runs`, or a commit")


class _LoggedFiles:
    """Files of runs, each fetched once."""

    def __init__(self, reader: RunReader, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self._known: dict[tuple[str, str], Path | None] = {}

    def fetch(self, run: str, path: str) -> Path | None:
        """Return the local copy of an artifact; None if the run has none."""
        key = (run, path)
        if key not in self._known:
            place = self._folder / str(len(self._known))
            place.mkdir()
            self._known[key] = download_run_files(self._reader, run, path, place)
        return self._known[key]


def _describe_commit(iteration: Iteration) -> RecordedState:
    """Describe an iteration that a commit has completely: code, configuration and dvc.lock."""
    if iteration.revision is None:
        raise UserError(
            f"the results of {iteration.reference} are in no commit, and it has no run: commit them first"
        )
    return RecordedState(
        iteration.label,
        iteration.revision,
        str(iteration.sha256),
        is_evaluated=_has_test_metrics(iteration),
        metrics=iteration.metrics,
        data=iteration.facts.get("tested") or iteration.data,
    )


def _add_machine(state: RecordedState, iteration: Iteration, logged: _LoggedFiles) -> RecordedState:
    """Add what MLflow knows of machine and libraries; without it, a difference of figures proves nothing."""
    if iteration.run_id is None:
        return state
    try:
        places = (
            logged.fetch(iteration.run_id, f"{STATE_FOLDER}/{stage}") for stage in ("evaluate", "finetune")
        )
        place = next(filter(None, places), None)
    except TrackingUnavailableError:
        return state
    if place is None:
        return state
    found = _read_state(place)
    return replace(state, versions=found.get("versions", {}), machine=found.get("machine", {}))


def _describe_older_run(iteration: Iteration) -> RecordedState:
    """Describe a run that logged no state: an earlier version of this project trained it."""
    if iteration.revision is None:
        raise UserError(
            f"{iteration.reference} was logged without the state of its code and data, and no commit has its "
            "results: fetch the commit that has them (`git fetch --all`, or `dvc exp pull`), then run again"
        )
    return _describe_commit(iteration)


def _describe_run(iteration: Iteration, logged: _LoggedFiles, training: str, stage: str) -> RecordedState:
    run = str(iteration.run_id) if stage == "evaluate" else training
    folder = logged.fetch(run, f"{STATE_FOLDER}/{stage}")
    assert folder is not None
    state = _read_state(folder)
    first = logged.fetch(training, f"{STATE_FOLDER}/finetune") if stage == "evaluate" else folder
    is_evaluated = stage == "evaluate" and _has_test_metrics(iteration)
    evaluation = logged.fetch(run, EVALUATION_FOLDER.name) if is_evaluated else None
    files = _collect_files(folder, first)
    if evaluation:
        files |= _read_existing({TEST_METRICS_FILE: evaluation / TEST_METRICS_FILE.name})
    _require_files(iteration, files, state)
    patch = folder / CHANGES_FILE
    return RecordedState(
        iteration.label,
        str(state["commit"]),
        str(iteration.sha256),
        patch=_check_patch(patch, state["changes"]["sha256"]) if state.get("changes") else None,
        unlogged=str(state.get("no_changes", "")),
        files=files,
        folders=_collect_folders(logged, training, evaluation),
        stage=stage,
        is_evaluated=is_evaluated,
        metrics=iteration.metrics,
        data=(iteration.facts.get("tested") if stage == "evaluate" else None) or iteration.data,
        versions=state.get("versions", {}),
        machine=state.get("machine", {}),
    )


def _has_test_metrics(iteration: Iteration) -> bool:
    return any(name.startswith(TEST_PREFIX) for name in iteration.metrics)


def _read_state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    if not state.get("commit"):
        raise UserError(
            "the run was trained outside a git repository, or before its first commit: nobody knows its code"
        )
    return state


def _collect_files(folder: Path, training: Path | None) -> dict[Path, bytes]:
    """Read the files of a state; what `evaluate` does not log is in the state of the training."""
    earlier = {path: training / path for path in (SPLITS_LOCK_FILE, SPLITS_FILE)} if training else {}
    own = {path: folder / path for path in (PARAMS_FILE, TRAINING_METRICS_FILE, *_list_recorded())}
    return _read_existing(earlier) | _read_existing(own)


def _list_recorded() -> set[Path]:
    return {path for paths in RECORDED_FILES.values() for path in paths}


def _read_existing(places: Mapping[Path, Path]) -> dict[Path, bytes]:
    return {path: place.read_bytes() for path, place in places.items() if place.is_file()}


def _require_files(iteration: Iteration, files: Mapping[Path, bytes], state: Mapping[str, Any]) -> None:
    missing = [path.as_posix() for path in NEEDED_FILES if path not in files]
    if missing:
        left_out = f" (too large to be logged: {', '.join(state['left_out'])})" if state["left_out"] else ""
        raise UserError(
            f"{iteration.reference} was logged without {', '.join(missing)}{left_out}: "
            "name the commit or the experiment with its results instead"
        )


def _check_patch(patch: Path, sha256: str) -> Path:
    if not patch.is_file() or hash_file(patch) != sha256:
        raise UserError(
            f"{STATE_FOLDER}/{patch.parent.name}/{CHANGES_FILE} of the run is missing or damaged in MLflow: "
            "its code and configuration cannot be restored"
        )
    return patch


def _collect_folders(logged: _LoggedFiles, training: str, evaluation: Path | None) -> dict[Path, Path]:
    places = {
        FINETUNED_FOLDER: logged.fetch(training, FINETUNED_FOLDER.name),
        TRAINING_PLOTS_FOLDER: logged.fetch(training, TRAINING_PLOTS_FOLDER.name),
        EVALUATION_FOLDER: evaluation,
    }
    return {path: place for path, place in places.items() if place is not None}

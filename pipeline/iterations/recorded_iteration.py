"""Make iterations of DVC experiments, git revisions and the workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pipeline.config.source_paths import name_source
from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.core.tasks import TASKS
from pipeline.dataset.history import WORKSPACE, read_manifest_at_revision
from pipeline.dataset.manifest import BaseSeen, read_base_seen
from pipeline.dataset.prepared import read_manifest
from pipeline.iterations.iteration import Iteration, ReferenceKind
from pipeline.iterations.recorded_results import RESULT_FILES, parse_results
from pipeline.storage.dvc_repository import RevisionReadError, copy_path_at_revision
from pipeline.storage.git_history import GitExperiment, read_commit_times, read_files_of_commits
from pipeline.storage.scratch_folder import create_scratch_folder, project_root

LABEL_DIGITS: Final = 10
"""Of a commit's hash in a table."""
TRAINING_FACTS_FILE: Final = "run.json"
"""In models/finetuned: facts about the training, with the run's id and the SHA-256 of the weights."""


def list_experiment_iterations(experiments: Sequence[GitExperiment]) -> list[Iteration]:
    """Make an iteration of each DVC experiment by what git has; DVC's cache is not read.

    Args:
        experiments: Of the project's repository.
    """
    files = _read_result_files([item.commit for item in experiments])
    return [
        _build_iteration(
            item.name, kind="experiment", commit=item.commit, started=item.time, files=files[item.commit]
        )
        for item in experiments
    ]


def list_revision_iterations(commits: Sequence[str]) -> list[Iteration]:
    """Make an iteration of each commit by what git has; DVC's cache is not read.

    Args:
        commits: Of the project's repository.
    """
    files, times = _read_result_files(commits), read_commit_times(project_root(), commits)
    return [
        _build_iteration(
            commit[:LABEL_DIGITS],
            kind="revision",
            commit=commit,
            started=times.get(commit),
            files=files[commit],
        )
        for commit in commits
    ]


def read_experiment(reference: str, experiment: GitExperiment) -> Iteration:
    """Make the iteration of an experiment, with what DVC's cache or remote says about its weights.

    Raises:
        UserError: It has no fine-tuned weights.
    """
    [found] = list_experiment_iterations([experiment])
    return _add_recorded_facts(replace(found, reference=reference))


def read_revision(reference: str, commit: str) -> Iteration:
    """Make the iteration of a commit, with what DVC's cache or remote says about its weights.

    Args:
        reference: As the user typed it.
        commit: The commit that it names.

    Raises:
        UserError: It has no fine-tuned weights.
    """
    [found] = list_revision_iterations([commit])
    return _add_recorded_facts(replace(found, reference=reference, label=reference))


def read_workspace() -> Iteration:
    """Make the iteration of the workspace.

    Raises:
        UserError: It has no fine-tuned weights.
    """
    files = {path: path.read_bytes() for path in RESULT_FILES if path.is_file()}
    found = _build_iteration(WORKSPACE, kind="revision", commit=None, started=None, files=files)
    try:
        facts = parse_training_facts((FINETUNED_FOLDER / TRAINING_FACTS_FILE).read_bytes())
    except FileNotFoundError:
        raise UserError(f"the workspace has no {FINETUNED_FOLDER}: run `dvc repro` first") from None
    try:
        data: str | None = read_manifest(PREPARED_FOLDER, verify_files=False).digest
    except UserError:
        data = None
    return _add_data(add_training_facts(found, facts), data)


def add_training_facts(iteration: Iteration, facts: Mapping[str, Any]) -> Iteration:
    """Add what run.json says about the training and its weights; that of an earlier version names no dataset.

    Args:
        iteration: What else is known.
        facts: Of run.json.
    """
    hashes = facts.get("sha256")
    names = facts.get("names")
    return replace(
        iteration,
        task=next((task for task in TASKS if task == facts.get("task")), iteration.task),
        names=tuple(map(str, names)) if isinstance(names, list) else iteration.names,
        run_id=iteration.run_id or facts.get("run_id"),
        data=facts.get("data") or iteration.data,
        sha256=hashes.get("best") if isinstance(hashes, dict) else iteration.sha256,
        facts={
            **iteration.facts,
            "key": facts.get("key"),
            "base": _find_base_hash(facts),
            **_find_base_seen(facts),
        },
    )


def _find_base_hash(facts: Mapping[str, Any]) -> str | None:
    base = facts.get("base")
    return base.get("sha256") if isinstance(base, dict) else None


def _find_base_seen(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what the base weights have seen of the test images; empty where it is nothing."""
    seen = read_base_seen(facts) or BaseSeen()
    return {} if seen == BaseSeen() else {"base_seen": str(seen)}


def parse_training_facts(content: bytes) -> dict[str, Any]:
    """Parse run.json; empty if it cannot be parsed."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_result_files(commits: Sequence[str]) -> dict[str, dict[Path, bytes]]:
    places = [(commit, path) for commit in commits for path in RESULT_FILES]
    contents = read_files_of_commits(project_root(), places)
    return {
        commit: {path: contents[commit, path] for path in RESULT_FILES if (commit, path) in contents}
        for commit in commits
    }


def _build_iteration(
    label: str,
    *,
    kind: ReferenceKind,
    commit: str | None,
    started: int | None,
    files: Mapping[Path, bytes],
) -> Iteration:
    results = parse_results(files)
    task = results.params.get("data.task")
    facts = {
        "started": float(started) if started else None,
        "seconds": results.seconds,
        "experiment": label if kind == "experiment" else None,
        "dataset": _name_dataset(results.params),
        "weights_hash": results.weights_hash,
    }
    return Iteration(
        reference=label,
        kind=kind,
        label=label,
        task=next((known for known in TASKS if known == task), None),
        revision=commit,
        params=results.params,
        metrics=results.metrics,
        predicts_with=results.predicts_with,
        facts={name: value for name, value in facts.items() if value is not None},
    )


def _name_dataset(params: Mapping[str, Any]) -> str | None:
    """Return the name that MLflow has of the dataset, as `DataConfig.source_name`."""
    source = params.get("data.source")
    return (name_source(source) if source else None) or params.get("data.format")


def _add_recorded_facts(iteration: Iteration) -> Iteration:
    commit = str(iteration.revision)
    if "weights_hash" not in iteration.facts:
        raise UserError(
            f"{iteration.reference} has no fine-tuned weights: no dvc.lock with {FINETUNED_FOLDER} "
            "was committed there"
        )
    try:
        data: str | None = read_manifest_at_revision(commit).digest
    except UserError:  # the images are elsewhere, which matters to few questions
        data = None
    return _add_data(add_training_facts(iteration, read_training_facts(iteration.reference, commit)), data)


def _add_data(iteration: Iteration, beside: str | None) -> Iteration:
    """Add the dataset beside the weights: they were evaluated on it, and trained, if run.json names no other.

    Args:
        iteration: With what run.json says.
        beside: Digest of data/prepared; None if nobody knows it.
    """
    tested = {"tested": beside} if beside else {}
    return replace(iteration, data=iteration.data or beside, facts={**iteration.facts, **tested})


def read_training_facts(reference: str, commit: str) -> dict[str, Any]:
    """Read the run.json of a commit, from DVC's cache or its remote; empty if it cannot be parsed.

    Args:
        reference: As the user typed it, for the message.
        commit: Of git.

    Raises:
        UserError: It is neither in DVC's cache nor on a remote.
    """
    with TemporaryDirectory(dir=create_scratch_folder("iterations")) as folder:
        copy = Path(folder) / TRAINING_FACTS_FILE
        try:
            copy_path_at_revision(FINETUNED_FOLDER / TRAINING_FACTS_FILE, commit, copy)
        except RevisionReadError as error:
            raise UserError(
                f"the weights of {reference} are neither in DVC's cache nor on a remote "
                f"({str(error).splitlines()[0]:.120}): fetch them where they are with "
                f"`dvc fetch --all-commits`, or `dvc exp pull`"
            ) from None
        return parse_training_facts(copy.read_bytes())

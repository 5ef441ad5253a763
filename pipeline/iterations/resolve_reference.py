"""Find the iteration that a text names: run, registered model, experiment, revision, workspace or file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER
from pipeline.dataset.history import WORKSPACE
from pipeline.iterations.commits_of_runs import add_code, add_commits
from pipeline.iterations.iteration import Iteration, ReferenceKind
from pipeline.iterations.recorded_iteration import (
    TRAINING_FACTS_FILE,
    add_training_facts,
    parse_training_facts,
    read_experiment,
    read_revision,
    read_workspace,
)
from pipeline.iterations.tracked_iteration import (
    build_run_iteration,
    get_training_id,
    is_evaluation,
    is_sweep,
    is_training,
)
from pipeline.iterations.weights_file import read_weights_file
from pipeline.runtime.progress import print_notice
from pipeline.storage.git import require_owned_repository
from pipeline.storage.git_history import find_commit, list_experiments
from pipeline.storage.scratch_folder import create_scratch_folder, project_root
from pipeline.tracking.store.registered_models import ModelVersionRecord, list_model_versions
from pipeline.tracking.store.run_files import download_run_files
from pipeline.tracking.store.tracked_runs import (
    RunReader,
    TrackedRun,
    TrackingUnavailableError,
    quote_filter_value,
)
from pipeline.tracking.target import TrackingTarget

WEIGHTS_SUFFIXES: Final = (
    ".pt", ".onnx", ".torchscript", ".engine", ".tflite", ".pb", ".mlpackage", ".mnn", ".pte",
)  # fmt: skip
"""Of files of weights, as Ultralytics loads and exports them."""
FINETUNED_ARTIFACT: Final = FINETUNED_FOLDER.name
"""The folder of the weights among the artifacts of a run."""
WEIGHTS_FOLDER_SUFFIX: Final = "_model"
"""Of folders of exported weights, such as best_openvino_model."""
_EXPERIMENT_NAME: Final = re.compile(r"[^\s*?\[~^:\\/]+")
_RUN_ID: Final = re.compile(r"[0-9a-f]{4,32}")
_ALIAS: Final = re.compile(r"(?:models:/)?([^@/]+)@([^@/]+)")
_VERSION: Final = re.compile(r"(?:models:/)?([^@/]+)/v?(\d+)")
_SUGGESTION_RUNS: Final = 200
"""The newest runs, whose names may be suggested for a mistyped one."""


def resolve_reference(text: str, target: TrackingTarget, *, registry_name: str) -> Iteration:
    """Find the iteration that a text names.

    It may be a run's id or the beginning of one (4 characters or more), a run's name, an alias of the
    registered model such as champion, NAME@ALIAS, NAME/3, a DVC experiment, a git revision, `workspace`, or a
    file or folder of weights.

    Args:
        text: As the user typed it.
        target: MLflow's store and experiment.
        registry_name: The registered model whose aliases need no name before them.

    Raises:
        UserError: It names nothing, several iterations, or one without weights.
    """
    if text == WORKSPACE:
        return read_workspace()
    if is_weights_path(text):
        return read_weights_file(text)
    reader = RunReader(target)
    outage: TrackingUnavailableError | None = None
    found: list[Iteration] = []
    try:
        found = _drop_doubles(_find_tracked(reader, text, registry_name))
    except TrackingUnavailableError as error:
        outage = error
    recorded = list(_find_recorded(text, found))
    if outage and recorded:
        print_notice(f"{outage}; {text} is taken for what DVC and git have by this name")
    elif outage:
        raise outage
    iteration = _require_one(text, [*found, *recorded], reader)
    return _complete(iteration, reader, has_outage=outage is not None)


def is_weights_path(text: str) -> bool:
    """Check whether a text names a file or a folder of weights by its ending."""
    return text.lower().endswith(WEIGHTS_SUFFIXES) or text.rstrip("/").endswith(WEIGHTS_FOLDER_SUFFIX)


def _find_tracked(reader: RunReader, text: str, registry_name: str) -> Iterator[Iteration]:
    """Yield what MLflow has by this name, with doubles."""
    yield from _find_versions(reader, text, registry_name)
    runs = list(_find_runs(reader, text))
    for run in [run for run in runs if _is_iteration(run)] or runs:
        yield _build_tracked(reader, run, text)


def _is_iteration(run: TrackedRun) -> bool:
    """Check that a run is none of a sweep, of a comparison, or of the champions of a registered model."""
    return is_training(run) or is_evaluation(run)


def _find_runs(reader: RunReader, text: str) -> Iterator[TrackedRun]:
    if re.fullmatch(r"[0-9a-f]{32}", text):
        run = reader.get_run(text)
        if run:
            yield run
    elif _RUN_ID.fullmatch(text):
        yield from reader.search_runs(f"attributes.run_id LIKE '{text}%'", limit=20)
    if quoted := quote_filter_value(text):
        yield from reader.search_runs(f"attributes.run_name = {quoted}", limit=20)


def _find_versions(reader: RunReader, text: str, registry_name: str) -> Iterator[Iteration]:
    by_alias, by_version = _ALIAS.fullmatch(text), _VERSION.fullmatch(text)
    name, wanted = next(
        ((match[1], match[2]) for match in (by_alias, by_version) if match), (registry_name, text)
    )
    kind: ReferenceKind = "version" if by_version else "alias"
    for item in list_model_versions(reader, name):
        if wanted in ({item.version} if by_version else item.aliases):
            yield _build_version(reader, item, text, kind)


def _build_version(reader: RunReader, item: ModelVersionRecord, text: str, kind: ReferenceKind) -> Iteration:
    run = reader.get_run(item.run_id) if item.run_id else None
    if run is None:
        raise UserError(
            f"{item.name}/{item.version} was made from a run that MLflow does not have any more, or does not "
            f"show you ({item.run_id or 'unknown'}): restore the run, or name another version"
        )
    return _build_tracked(reader, run, text, version=item, kind=kind)


def _build_tracked(
    reader: RunReader,
    run: TrackedRun,
    text: str,
    *,
    version: ModelVersionRecord | None = None,
    kind: ReferenceKind = "run",
) -> Iteration:
    if is_sweep(run):
        raise UserError(
            f"{text} is a sweep, not one training: `finetrack runs --sweep NAME` lists its trainings"
        )
    if not _is_iteration(run):
        raise UserError(f"{text} is a run of something else than a training: name a run of `finetrack runs`")
    training_id = get_training_id(run)
    parent = reader.get_run(training_id) if training_id and training_id != run.run_id else None
    training = parent if parent and is_training(parent) else None
    return build_run_iteration(run, training=training, version=version, reference=text, kind=kind)


def _find_recorded(text: str, tracked: Sequence[Iteration]) -> Iterator[Iteration]:
    """Yield the experiments or else the revision of this name, if they are none of the runs already found.

    One without weights is no candidate beside a run of this name.
    """
    root = project_root()
    require_owned_repository(root)
    experiments = list_experiments(root, text) if _EXPERIMENT_NAME.fullmatch(text) else []
    runs = {iteration.facts.get("experiment") for iteration in tracked}
    commit = None if experiments else find_commit(root, text)
    with suppress(UserError) if tracked else nullcontext():
        for experiment in experiments:
            if experiment.name not in runs:
                yield read_experiment(text, experiment)
        if commit:
            yield read_revision(text, commit)


def _drop_doubles(found: Iterator[Iteration]) -> list[Iteration]:
    by_run: dict[str | None, Iteration] = {}
    for iteration in found:
        by_run.setdefault(iteration.run_id, iteration)
    return list(by_run.values())


def _require_one(text: str, found: list[Iteration], reader: RunReader) -> Iteration:
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{text} names {len(found)} iterations: write more of it",
            *(_describe_candidate(iteration) for iteration in found),
        )
    raise UserError(
        f"no run, registered model, experiment or revision is named {text}{_suggest(text, reader)}"
    )


def _describe_candidate(iteration: Iteration) -> str:
    from time import localtime, strftime

    started = strftime("%Y-%m-%d %H:%M", localtime(iteration.facts.get("started", 0)))
    if iteration.kind in {"experiment", "revision"}:
        return f"{iteration.revision} ({iteration.kind} of {started})"
    return f"{iteration.run_id} ({iteration.kind} {iteration.label}, {iteration.status}, {started})"


def _suggest(text: str, reader: RunReader) -> str:
    try:
        names = [run.name for run in reader.search_runs(limit=_SUGGESTION_RUNS) if _is_iteration(run)]
    except TrackingUnavailableError:
        names = []
    names += [item.name for item in list_experiments(project_root())]
    near = difflib.get_close_matches(text, dict.fromkeys(names), n=2)
    return f": did you mean {' or '.join(near)}?" if near else ": `finetrack runs` lists them"


def _complete(iteration: Iteration, reader: RunReader, *, has_outage: bool) -> Iteration:
    """Add the commit of a run, the run of a commit, and what run.json says where no tag says it."""
    if iteration.kind in {"experiment", "revision"}:
        return add_code(iteration if has_outage else _add_run(iteration, reader))
    if has_outage:
        return iteration
    if iteration.sha256 is None or not iteration.names:
        iteration = _add_logged_facts(iteration, reader)
    return add_commits([iteration])[0]


def _add_run(iteration: Iteration, reader: RunReader) -> Iteration:
    """Add status and tags of the run that trained the weights of a commit; the metrics stay the commit's."""
    try:
        run = reader.get_run(iteration.run_id) if iteration.run_id else None
    except TrackingUnavailableError:  # DVC has all that is needed
        run = None
    if run is None:
        return iteration
    facts = build_run_iteration(run).facts
    return replace(iteration, status=run.status, tags=run.tags, facts={**facts, **iteration.facts})


def _add_logged_facts(iteration: Iteration, reader: RunReader) -> Iteration:
    """Read run.json of the training's artifacts."""
    training = iteration.facts.get("training")
    if not training:
        return iteration
    with TemporaryDirectory(dir=create_scratch_folder("iterations")) as folder:
        place = f"{FINETUNED_ARTIFACT}/{TRAINING_FACTS_FILE}"
        copy = download_run_files(reader, training, place, Path(folder))
        return (
            iteration
            if copy is None
            else add_training_facts(iteration, parse_training_facts(copy.read_bytes()))
        )

"""Give a clone the data and weights of an iteration: from DVC's cache or remote, or else from MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.core.errors import UserError
from pipeline.core.paths import (
    EVALUATION_FOLDER,
    FINETUNED_FOLDER,
    TEST_METRICS_FILE,
    TRAINING_PLOTS_FOLDER,
)
from pipeline.core.stages import STAGES
from pipeline.restore.recorded_state import NEEDED_FILES, RecordedState
from pipeline.storage.dvc_repository import (
    MissingOutputs,
    RevisionReadError,
    checkout_outputs,
    commit_outputs,
    fetch_outputs,
    restore_from_run_cache,
)
from pipeline.storage.files import write_file
from pipeline.storage.finished_trainings import DVC_LOCK_FILE

STAGE_OF: Final = {
    FINETUNED_FOLDER: "finetune",
    TRAINING_PLOTS_FOLDER: "finetune",
    EVALUATION_FOLDER: "evaluate",
}
"""The stage whose output a folder is, of those that are logged with the run."""

LOGGED_BESIDE: Final = (TEST_METRICS_FILE.name, "latency.json")


def write_recorded_files(folder: Path, state: RecordedState) -> None:
    """Write params.yaml, the locks and the reports of a run over those of its commit.

    DVC writes the entry of a stage into dvc.lock when the stage has ended. What dvc.lock said until then of
    the last stage, or of later ones, is of another iteration.

    Args:
        folder: The project's folder in the clone.
        state: Of the iteration.
    """
    if not state.files:
        return
    for path, content in state.files.items():
        write_file(folder / path, content)
    lock = _read_lock(folder)
    for stage in STAGES[STAGES.index(state.stage) :]:
        lock["stages"].pop(stage, None)
    write_file(folder / DVC_LOCK_FILE, yaml.safe_dump(lock, sort_keys=False))
    if TEST_METRICS_FILE not in state.files:
        (folder / TEST_METRICS_FILE).unlink(missing_ok=True)  # of another iteration


def require_records(folder: Path, state: RecordedState) -> None:
    """Require the files by which DVC knows that nothing has to be run.

    Args:
        folder: The project's folder in the clone, with the recorded files.
        state: Of the iteration.

    Raises:
        UserError: Some are missing.
    """
    missing = [path.as_posix() for path in NEEDED_FILES if not (folder / path).is_file()]
    if missing:
        raise UserError(
            f"{state.label} cannot be restored: commit {state.commit[:10]} has no {', '.join(missing)}; name "
            "one that was made after `dvc repro`"
        )


def restore_outputs(folder: Path, state: RecordedState) -> list[str]:
    """Write data, weights and reports of the iteration, and record those that came from MLflow in dvc.lock.

    Args:
        folder: The project's folder in the clone, with the recorded files.
        state: Of the iteration.

    Returns:
        Where they come from, a line for each place.

    Raises:
        UserError: Outputs are neither in DVC's cache, nor on its remote, nor in MLflow. None is written.
    """
    known = [stage for stage in STAGES if stage in _read_lock(folder)["stages"]]
    missing = fetch_outputs(folder, known)
    logged = _choose_logged(state, known, missing)
    _require_all(state, missing, logged)
    try:
        checkout_outputs(folder, known)
        copied = _copy_logged_outputs(folder, state, logged)
        _record_logged(folder, known, logged)
    except RevisionReadError as error:
        raise UserError(f"DVC cannot restore the outputs of {state.label}: {error}") from None
    stages = [stage for stage in STAGES if stage in _read_lock(folder)["stages"]]
    names = {path.as_posix() for path in copied}
    from_dvc = [path for path in _list_outputs(folder, stages) if path not in names]
    lines = [f"{', '.join(from_dvc)} from DVC"] if from_dvc else []
    return lines + ([f"{', '.join(sorted(names))} from MLflow"] if names else [])


def _copy_logged_outputs(folder: Path, state: RecordedState, logged: Sequence[Path]) -> list[Path]:
    """Copy outputs that are logged with the run; return those that DVC's run cache did not have either."""
    copied = []
    for path in sorted(logged, key=lambda path: STAGES.index(STAGE_OF[path])):
        if path != EVALUATION_FOLDER or not _restore_evaluation(folder, state):
            _copy_logged(state.folders[path], folder / path)
            copied.append(path)
    return copied


def _restore_evaluation(folder: Path, state: RecordedState) -> bool:
    """Restore reports/evaluation from DVC's run cache, if that is the same evaluation.

    It has times, such as those of latencies: another evaluation of the same weights has other files.
    """
    recorded = state.files.get(TEST_METRICS_FILE)
    found = restore_from_run_cache(folder, "evaluate")
    same = found and (folder / TEST_METRICS_FILE).read_bytes() == recorded
    if found and not same and recorded is not None:
        write_file(folder / TEST_METRICS_FILE, recorded)
    return same


def _read_lock(folder: Path) -> dict[str, Any]:
    try:
        lock = yaml.safe_load((folder / DVC_LOCK_FILE).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        lock = None
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise UserError(f"{DVC_LOCK_FILE} of the iteration is missing or damaged: nobody knows its data")
    return lock


def _choose_logged(state: RecordedState, known: Sequence[str], missing: MissingOutputs) -> list[Path]:
    """Choose what is taken from MLflow: what DVC does not have, and stages that dvc.lock does not name."""
    return [
        path
        for path in state.folders
        if path.as_posix() in missing.paths or (STAGE_OF[path] not in known and _has_stage(state, path))
    ]


def _has_stage(state: RecordedState, path: Path) -> bool:
    return state.is_evaluated or STAGE_OF[path] != "evaluate"


def _require_all(state: RecordedState, missing: MissingOutputs, logged: Iterable[Path]) -> None:
    absent = [path for path in missing.paths if Path(path) not in logged]
    if FINETUNED_FOLDER not in {*state.folders} and state.files and state.stage == "finetune":
        absent.append(FINETUNED_FOLDER.as_posix())
    if absent:
        raise UserError(
            f"{', '.join(absent)} of {state.label} cannot be had: not in DVC's cache, and {missing.reason}",
            "push them where they are with `dvc push --run-cache`, or `dvc exp push` for an experiment, and "
            "run again",
        )


def _copy_logged(source: Path, target: Path) -> None:
    """Copy a logged folder, without what is logged beside an evaluation and is no part of this output."""
    shutil.rmtree(target, ignore_errors=True)
    names = LOGGED_BESIDE if target.name == EVALUATION_FOLDER.name else ()
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*names))


def _record_logged(folder: Path, known: Sequence[str], logged: Sequence[Path]) -> None:
    """Record what came from MLflow in dvc.lock; it must not change what dvc.lock knew already."""
    before = _read_lock(folder)["stages"]
    stages = {STAGE_OF[path] for path in logged}
    commit_outputs(folder, [stage for stage in STAGES if stage in stages])
    after = _read_lock(folder)["stages"]
    changed = [stage for stage in known if _get_outs(before[stage]) != _get_outs(after[stage])]
    if changed:
        raise UserError(f"MLflow has other files of {', '.join(changed)} than DVC recorded: one is damaged")


def _get_outs(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {out["path"]: out["md5"] for out in entry.get("outs", ())}


def _list_outputs(folder: Path, stages: Sequence[str]) -> list[str]:
    entries = _read_lock(folder)["stages"]
    return [path for stage in stages for path in _get_outs(entries[stage]) if (folder / path).is_dir()]

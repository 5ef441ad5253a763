"""Restore an iteration in a new folder: code, configuration, data and weights; and prove it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from pipeline.compose.input_fingerprints import RESTORED_KEY
from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, FINETUNED_FOLDER, PARAMS_FILE
from pipeline.iterations.iteration import Iteration
from pipeline.restore.clone_project import apply_changes, clone_project
from pipeline.restore.proof import (
    CheckResult,
    check_contents,
    check_evaluation,
    check_nothing_to_do,
    compare_rerun,
)
from pipeline.restore.recorded_state import RecordedState, read_recorded_state
from pipeline.restore.restored_outputs import require_records, restore_outputs, write_recorded_files
from pipeline.restore.tracking_address import find_address_for, set_tracking_address
from pipeline.storage.code_digests import compute_code_digests
from pipeline.storage.dvc_remotes.shared_settings import share_dvc_settings
from pipeline.storage.files import hash_file, write_file, write_folder
from pipeline.storage.git_commands import GitError, run_git
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, create_scratch_folder, project_root
from pipeline.tracking.target import TrackingTarget

REPORT_FILE: Final = "restored.json"
"""In .finetrack of the restored folder: what was restored, and what was proven."""


def restore_iteration(
    iteration: Iteration, target: TrackingTarget, folder: Path, *, rerun: bool = False
) -> Iterator[str]:
    """Restore an iteration in a folder, which gets its name when everything is in it.

    Args:
        iteration: See `resolve_reference`.
        target: MLflow's store and experiment; the restored folder uses the same.
        folder: A path that does not exist, or an empty folder.
        rerun: Whether to train again, too, and say how far the results are from the record.

    Yields:
        What is restored and proven, a line each.

    Raises:
        UserError: Something cannot be had: nothing is left. Or a check failed: the folder is complete.
    """
    _require_free_place(folder)
    findings: list[CheckResult] = []
    with (
        TemporaryDirectory(dir=create_scratch_folder("iterations"), prefix=".restore-") as place,
        write_folder(folder) as clone,
    ):
        state = read_recorded_state(iteration, target, Path(place))
        project = clone_project(project_root(), clone, state.commit)
        final = folder / project.relative_to(clone)
        yield from _restore(state, clone, project)
        yield from _use_store(project, final, target)
        for finding in _prove(state, project, rerun=rerun):
            findings.append(finding)
            yield finding.text
        _write_report(project, iteration, state, findings)
        _require_free_place(folder)  # minutes have passed
    failed = [finding.text for finding in findings if not finding.is_proven]
    if failed:
        raise UserError(f"{folder} has everything that is recorded, but a check failed", *failed)
    yield f"{folder} is ready: `cd {final} && dvc repro` goes on from there"


def _require_free_place(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already: name a folder that does not exist, or an empty one")
    top = Path(run_git(project_root(), "rev-parse", "--show-toplevel"))
    if folder.is_relative_to(top) and not _is_ignored(top, folder):
        raise UserError(f"{folder} is inside the project, where git would track it: name a folder outside")


def _is_ignored(top: Path, folder: Path) -> bool:
    try:
        run_git(top, "check-ignore", "--quiet", str(folder))
    except GitError:
        return False
    return True


def _restore(state: RecordedState, clone: Path, project: Path) -> Iterator[str]:
    """Write code, configuration, data and weights; yield a line for each."""
    if state.patch:
        apply_changes(clone, state.patch)
    write_recorded_files(project, state)
    require_records(project, state)
    yield f"code: commit {state.commit[:10]}{_describe_changes(state)}"
    _require_recorded_code(state, project)
    _mark_restored(state, project)
    share_dvc_settings(project_root(), project)
    yield from restore_outputs(project, state)
    yield from _copy_base_weights(project)


def _describe_changes(state: RecordedState) -> str:
    if state.patch:
        return ", and the changes that were logged with the run"
    return f"; the run had changes that were not logged ({state.unlogged})" if state.unlogged else ""


def _require_recorded_code(state: RecordedState, project: Path) -> None:
    """Require that the code of each stage is that of the record, by its digest."""
    recorded = json.loads((project / COMPOSE_LOCK_FILE).read_text(encoding="utf-8")).get("code", {})
    found = compute_code_digests(project / "pipeline") if recorded else {}
    other = [stage for stage, digest in recorded.items() if found.get(stage) != digest]
    if other:
        why = f", and the changes beside it were not logged ({state.unlogged})" if state.unlogged else ""
        raise UserError(
            f"{state.label} cannot be restored: the code of {', '.join(other)} at commit {state.commit[:10]} "
            f"is another one{why}"
        )


def _mark_restored(state: RecordedState, project: Path) -> None:
    """Let the recorded fingerprints stand when the images of the project grow, or its base weights change."""
    lock = json.loads((project / COMPOSE_LOCK_FILE).read_text(encoding="utf-8"))
    content = json.dumps({**lock, RESTORED_KEY: state.label}, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(project / COMPOSE_LOCK_FILE, f"{content}\n")


def _copy_base_weights(project: Path) -> Iterator[str]:
    """Copy base weights that git does not track, if the project has the same ones: a training needs them."""
    base = json.loads((project / FINETUNED_FOLDER / "run.json").read_text(encoding="utf-8")).get("base", {})
    model = _read_model(project)
    if not base.get("weights") or not model.get("weights"):
        return
    inner = Path(str(model["weights"])).with_name(base["weights"])
    for relative in (inner, Path(str(model.get("folder") or "")) / inner):
        if relative.is_absolute() or ".." in relative.parts or (project / relative).exists():
            continue
        source = project_root() / relative
        if source.is_file() and hash_file(source) == base["sha256"]:
            (project / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, project / relative)
            yield f"base weights {relative} from the project"
            return


def _read_model(project: Path) -> Mapping[str, Any]:
    model = (yaml.safe_load((project / PARAMS_FILE).read_text(encoding="utf-8")) or {}).get("model")
    return model if isinstance(model, dict) else {}


def _prove(state: RecordedState, project: Path, *, rerun: bool) -> Iterator[CheckResult]:
    yield check_contents(project, state)
    yield check_evaluation(project, state)
    if rerun:
        yield from compare_rerun(project, state)
    yield check_nothing_to_do(project, state)


def _use_store(project: Path, final: Path, target: TrackingTarget) -> Iterator[str]:
    """Let the folder log to the project's store: a relative address names another one there."""
    uri = find_address_for(target, final)
    if uri is None:
        yield "an MLflow store of its own: tracking.uri cannot name the path of the project's one"
        return
    params = project / PARAMS_FILE
    write_file(params, set_tracking_address(params.read_bytes(), uri))


def _write_report(
    project: Path, iteration: Iteration, state: RecordedState, findings: list[CheckResult]
) -> None:
    report = {
        "reference": iteration.reference,
        "run": iteration.run_id,
        "commit": state.commit,
        "weights": state.sha256,
        "data": state.data,
        "checks": [finding._asdict() for finding in findings],
    }
    path = project / SCRATCH_FOLDER / REPORT_FILE
    write_file(path, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False))

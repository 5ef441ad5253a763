"""Find records that contradict one another: dvc.lock, the files that it names, run.json, MLflow's run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.core.paths import FINETUNED_FOLDER, TEST_METRICS_FILE
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.records.journals import is_readable
from pipeline.doctor.records.lock_stages import find_hash, hash_as_dvc
from pipeline.doctor.records.run_records import RunRecords, compare_run
from pipeline.iterations.recorded_iteration import TRAINING_FACTS_FILE, parse_training_facts
from pipeline.storage.files import hash_file

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

MAX_FILE_BYTES: Final = 50_000_000
"""Larger files that dvc.lock names are not read."""
_AGAIN: Final = (
    "`git checkout` and `dvc checkout` restore what is committed; `dvc repro` makes all of it anew"
)


def check_records(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Compare what dvc.lock, run.json and MLflow say with the files, and with one another."""
    running = [item.stage for item in project.processes if item.stage and item.folder == project.root]
    if running:
        yield CheckFinding("ok", f"not compared, since {running[0]} writes its outputs now")
        return
    stages, folder = project.lock_stages, project.root / FINETUNED_FOLDER
    if not folder.is_dir():
        known = find_hash(stages, "finetune", "outs", FINETUNED_FOLDER)
        yield _describe_absent(known)
        return
    facts = read_training_facts(folder)
    problems = [*check_weights(folder, facts), *check_lock(project.root, stages)]
    if not problems:
        problems += _check_run(project, facts, stages)
    yield from problems
    if not problems:
        yield CheckFinding("ok", f"dvc.lock, {FINETUNED_FOLDER} and reports agree{_name_run(facts)}")


def read_training_facts(folder: Path) -> dict[str, Any]:
    """Read run.json beside weights; empty if it is absent or damaged."""
    try:
        return parse_training_facts((folder / TRAINING_FACTS_FILE).read_bytes())
    except OSError:
        return {}


def check_weights(folder: Path, facts: Mapping[str, Any]) -> Iterator[CheckFinding]:
    """Compare the weights with the SHA-256 that their training wrote into run.json.

    Args:
        folder: models/finetuned.
        facts: Of run.json.
    """
    hashes = facts.get("sha256")
    if not isinstance(hashes, dict) or "best" not in hashes:
        seen = f"{FINETUNED_FOLDER}/{TRAINING_FACTS_FILE} is absent or damaged: the weights are unknown"
        yield CheckFinding("fault", seen, _restore_weights())
        return
    for name, digest in hashes.items():
        file = folder / f"{name}.pt"
        if not file.is_file():
            seen = f"{FINETUNED_FOLDER}/{file.name} is absent, and run.json names it"
        elif hash_file(file) != digest:
            seen = f"{FINETUNED_FOLDER}/{file.name} is not the file that its training wrote (run.json)"
        else:
            continue
        yield CheckFinding("fault", seen, _restore_weights())


def check_lock(root: Path, stages: Mapping[str, Any]) -> Iterator[CheckFinding]:
    """Compare the weights and the small files that dvc.lock names with those of the workspace.

    Args:
        root: The project's folder.
        stages: Of dvc.lock.
    """
    if not stages:
        seen = f"there is no dvc.lock, and {FINETUNED_FOLDER} exists: nothing says what it was made of"
        yield CheckFinding("warning", seen, _AGAIN)
        return
    others = [
        str(path) for path, digest in _list_small_outputs(root, stages) if hash_as_dvc(root / path) != digest
    ]
    if others:
        seen = f"not what dvc.lock names, but changed by hand or of another iteration: {', '.join(others)}"
        yield CheckFinding("warning", seen, _AGAIN)
    trained = find_hash(stages, "finetune", "outs", FINETUNED_FOLDER)
    evaluated = find_hash(stages, "evaluate", "deps", FINETUNED_FOLDER)
    if evaluated and trained != evaluated:
        seen = f"{TEST_METRICS_FILE} is of other weights than {FINETUNED_FOLDER}, as dvc.lock says"
        yield CheckFinding("warning", seen, "run `dvc repro`, which evaluates the present weights")


def _list_small_outputs(root: Path, stages: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield models/finetuned, and the outputs that are files, with their hashes in dvc.lock.

    Those of compose are left out: it brings them up to date at each `dvc repro`.
    """
    for name, stage in stages.items():
        for out in (stage.get("outs") or ()) if name != "compose" and isinstance(stage, dict) else ():
            path, digest = Path(str(out.get("path"))), str(out.get("md5"))
            file = root / path
            if path == FINETUNED_FOLDER or (file.is_file() and file.stat().st_size <= MAX_FILE_BYTES):
                yield path, digest


def _check_run(
    project: ExaminedProject, facts: Mapping[str, Any], stages: Mapping[str, Any]
) -> Iterator[CheckFinding]:
    """Compare the run that run.json names with the files; other checks report a store that cannot be read."""
    run_id = facts.get("run_id")
    if not run_id or not is_readable(project) or project.runs is None:
        return
    run = project.runs.get_run(str(run_id))
    if run is None:
        uri = project.target.uri if project.target else ""
        seen = f"the run {run_id} of {FINETUNED_FOLDER}/run.json is not in MLflow at {uri}"
        yield CheckFinding(
            "warning",
            seen,
            "it was deleted, or is in another store (tracking.uri); a run that was deleted can be restored: "
            f"`mlflow runs restore --run-id {run_id}`",
        )
        return
    records = RunRecords(facts, stages, project.root)
    yield from compare_run(run, project.runs.list_children(run.run_id), records)


def _describe_absent(known: str | None) -> CheckFinding:
    if known is None:
        return CheckFinding("ok", "nothing was trained yet")
    seen = f"{FINETUNED_FOLDER} is absent, and dvc.lock names it"
    advice = (
        "if a training was stopped, type its command again: it goes on; else `dvc checkout`, or `dvc pull`"
    )
    return CheckFinding("warning", seen, advice)


def _name_run(facts: Mapping[str, Any]) -> str:
    return f"; MLflow's run is {str(facts['run_id'])[:8]}" if facts.get("run_id") else ""


def _restore_weights() -> str:
    return f"run `dvc checkout --force {FINETUNED_FOLDER}`, or `dvc repro` to train again"

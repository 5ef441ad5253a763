"""Prove that a restored folder is the iteration that was recorded; say what differs where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from pipeline.compose.input_fingerprints import RESTORED_KEY
from pipeline.core.errors import UserError
from pipeline.core.paths import (
    COMPOSE_LOCK_FILE,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    PREPARED_FOLDER,
    SPLITS_LOCK_FILE,
)
from pipeline.core.text import format_count
from pipeline.dataset.prepared import read_manifest
from pipeline.restore.compare_results import Comparison, compare_results
from pipeline.restore.recorded_state import RecordedState
from pipeline.restore.run_again import read_results, run_again, run_stage_command
from pipeline.runtime.run_state import describe_machine, read_versions
from pipeline.storage.dvc_repository import list_changed_stages
from pipeline.storage.files import hash_file, write_file

_RECORDS: Final = (PARAMS_FILE, COMPOSE_LOCK_FILE, SPLITS_LOCK_FILE)
"""What `compose` may write."""

GROUPS: Final = {"best/": "val", "test/": "test"}
"""The split of a group of metrics in MLflow."""


class CheckResult(NamedTuple):
    """The result of one check.

    Attributes:
        text: For people.
        is_proven: False where something differs that should be equal.
    """

    text: str
    is_proven: bool = True


def check_contents(folder: Path, state: RecordedState) -> CheckResult:
    """Check every prepared image and label against the manifest, and manifest and weights against the record.

    Args:
        folder: The restored project.
        state: What is recorded.

    Raises:
        UserError: They are other ones.
    """
    manifest = read_manifest(folder / PREPARED_FOLDER)
    if state.data not in {None, manifest.digest}:
        raise UserError(
            f"{PREPARED_FOLDER} has the digest {manifest.digest[:12]}, and {str(state.data)[:12]} is "
            f"recorded for {state.label}: this is other data"
        )
    weights = folder / FINETUNED_FOLDER / "best.pt"
    if hash_file(weights) != state.sha256:
        raise UserError(
            f"the SHA-256 of {FINETUNED_FOLDER / 'best.pt'} is not the one that is recorded for "
            f"{state.label}: these are other weights"
        )
    images = format_count(len(manifest.items), "image")
    return CheckResult(f"data as recorded ({images}, digest {manifest.digest[:12]}), weights as recorded")


def check_nothing_to_do(folder: Path, state: RecordedState) -> CheckResult:
    """Run `compose` as `dvc repro` does first, and ask DVC what it would run then.

    Args:
        folder: The restored project.
        state: What is recorded.
    """
    before = {path: (folder / path).read_bytes() for path in _RECORDS if (folder / path).exists()}
    try:
        said = run_stage_command(folder, "compose")
    except UserError as error:
        return CheckResult(str(error), is_proven=False)
    changed = list_changed_stages(folder)
    for stage in ("compose", *(() if state.is_evaluated else ("evaluate",))):
        changed.pop(stage, None)
    if not changed:
        rest = "" if state.is_evaluated else " but to evaluate"
        notes = [f"; {line}" for line in said if f"`{RESTORED_KEY}`" in line]
        return CheckResult(f"dvc repro has nothing to do{rest}{''.join(notes)}")
    for path, content in before.items():
        write_file(folder / path, content)
    causes = [f"{stage} ({', '.join(names)})" for stage, names in changed.items()]
    return CheckResult(f"dvc repro would run {', '.join(causes)}", is_proven=False)


def check_evaluation(folder: Path, state: RecordedState) -> CheckResult:
    """Evaluate the restored weights by the restored code, and compare all metrics with the record.

    On another machine, or with other libraries, a difference is said and no fault.

    Args:
        folder: The restored project.
        state: What is recorded.
    """
    if not state.is_evaluated:
        return CheckResult("the run was not evaluated: there is no mAP to compare")
    try:
        again = run_again(folder, ["evaluate"])
    except UserError as error:
        return CheckResult(str(error), is_proven=False)
    found = compare_results(state.metrics, again.metrics, prefix="test/")
    if not found.name:
        return CheckResult("no test metric of the record was computed again", is_proven=False)
    return CheckResult(describe_comparison("evaluate", found, state), found.is_equal or _is_elsewhere(state))


def compare_rerun(folder: Path, state: RecordedState) -> list[CheckResult]:
    """Train and evaluate again, and say how far the results are from the record.

    Args:
        folder: The restored project; its recorded outputs stay.
        state: What is recorded.
    """
    recorded = read_results(folder)
    try:
        again = run_again(folder, ["finetune", *(["evaluate"] if state.is_evaluated else [])])
    except UserError as error:
        return [CheckResult(str(error), is_proven=False)]
    same = "the same weights, byte for byte" if again.sha256 == recorded.sha256 else "other weights"
    lines = [f"training again gives {same}"]
    for prefix in GROUPS:
        found = compare_results({**recorded.metrics, **state.metrics}, again.metrics, prefix=prefix)
        if found.name:
            lines.append(describe_comparison("training again", found, state))
    return [CheckResult(line) for line in lines]


def describe_comparison(what: str, found: Comparison, state: RecordedState) -> str:
    """Describe how far results are from the record, in one line.

    Args:
        what: Begins the line.
        found: The comparison.
        state: What is recorded.
    """
    group, _, metric = found.name.partition("/")
    name = f"{GROUPS[f'{group}/']} {metric}"
    if found.difference == 0.0:
        return f"{what} gives {name} {found.again:.6f}, as recorded; every metric is equal"
    difference = found.again - found.recorded
    text = (
        f"{what} gives {name} {found.again:.6f}, recorded {found.recorded:.6f} (difference {difference:+.2g})"
    )
    if abs(difference) < found.difference:
        text += f"; {found.largest.partition('/')[2]} differs most, by {found.difference:.2g}"
    return text + (_describe_elsewhere(state) if not found.is_equal else "")


def _is_elsewhere(state: RecordedState) -> bool:
    return bool(_describe_elsewhere(state))


def _describe_elsewhere(state: RecordedState) -> str:
    """Say what is not as it was when the record was made; empty if nothing is."""
    if not state.machine:
        return "; nobody recorded the machine and its libraries"
    here = read_versions()
    names = [name for name in here if state.versions.get(name, here[name]) != here[name]]
    parts = [f"{name} {state.versions[name]}, here {here[name]}" for name in names]
    if state.machine != describe_machine():
        parts.append("another machine")
    return f"; recorded with {', '.join(parts)}" if parts else ""

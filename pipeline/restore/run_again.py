"""Run stages of a restored iteration again, beside its outputs, and read what they give.

The stages run as their commands, by hand, with a store of MLflow that is deleted afterwards: the runs of the
project stay as they are. So it works for code of other versions, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import (
    EVALUATION_FOLDER,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    TEST_METRICS_FILE,
    TRAINING_METRICS_FILE,
    TRAINING_PLOTS_FOLDER,
)
from pipeline.restore.tracking_address import set_tracking_address
from pipeline.storage.files import hash_file, write_file
from pipeline.storage.git import REPOSITORY_VARIABLES
from pipeline.storage.scratch_folder import SCRATCH_FOLDER

OUTPUTS: Final[Mapping[str, tuple[Path, ...]]] = {
    "finetune": (FINETUNED_FOLDER, TRAINING_PLOTS_FOLDER, TRAINING_METRICS_FILE),
    "evaluate": (EVALUATION_FOLDER, TEST_METRICS_FILE),
}
ASIDE: Final = ".recorded"
"""Holds the recorded outputs while the stages run."""
PROOF_URI: Final = f"sqlite:///{SCRATCH_FOLDER}/proof.db"
_OF_ONE_STAGE: Final = ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_EXP_TRAIN")


class Results(NamedTuple):
    """What a training and an evaluation gave.

    Attributes:
        metrics: By the names in MLflow, such as test/mAP50-95 and best/mAP50-95; empty without a report.
        sha256: Of the weights.
    """

    metrics: dict[str, float]
    sha256: str


def run_again(folder: Path, stages: Sequence[str]) -> Results:
    """Run stages and return what they give; the folder is as before afterwards.

    Args:
        folder: The restored project.
        stages: `finetune`, `evaluate` or both, in this order.

    Raises:
        UserError: A stage failed.
    """
    with _move_outputs_aside(folder, stages), _use_own_store(folder):
        for stage in stages:
            run_stage_command(folder, stage)
        return read_results(folder)


def run_stage_command(folder: Path, stage: str) -> list[str]:
    """Run a stage as dvc.yaml does, but by hand; return what it printed.

    Args:
        folder: The restored project, whose code runs.
        stage: Its name, or compose.

    Raises:
        UserError: It failed; the sentence has its last line.
    """
    dropped = {*REPOSITORY_VARIABLES, *_OF_ONE_STAGE}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("FINETRACK_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", stage],
        cwd=folder,
        env={**kept, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if done.returncode:
        raise UserError(f"{stage} of the restored code fails here: {lines[-1] if lines else 'no reason'}")
    return lines


def read_results(folder: Path) -> Results:
    """Read the reports of a project's folder, and hash its weights."""
    training, test = (_read_json(folder / path) for path in (TRAINING_METRICS_FILE, TEST_METRICS_FILE))
    metrics = {f"best/{name}": value for name, value in training.get("val", {}).items()}
    metrics |= {f"test/{name}": value for name, value in test.get("test", {}).items()}
    for name, row in test.get("per_class", {}).items():
        metrics |= {f"test/{metric}/{name}": value for metric, value in row.items()}
    numbers = {name: float(value) for name, value in metrics.items() if _is_number(value)}
    return Results(numbers, hash_file(folder / FINETUNED_FOLDER / "best.pt"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def _move_outputs_aside(folder: Path, stages: Sequence[str]) -> Iterator[None]:
    paths = [path for stage in stages for path in OUTPUTS[stage]]
    moved = [path for path in paths if (folder / path).exists()]
    for path in moved:
        (folder / ASIDE / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).rename(folder / ASIDE / path)
    try:
        yield
    finally:
        for path in paths:
            _remove(folder / path)
        for path in moved:
            (folder / ASIDE / path).rename(folder / path)
        shutil.rmtree(folder / ASIDE, ignore_errors=True)


@contextmanager
def _use_own_store(folder: Path) -> Iterator[None]:
    """Let the stages log to a store of their own, which is deleted afterwards with all scratch files."""
    params = (folder / PARAMS_FILE).read_bytes()
    write_file(folder / PARAMS_FILE, set_tracking_address(params, PROOF_URI))
    try:
        yield
    finally:
        write_file(folder / PARAMS_FILE, params)
        for name in (SCRATCH_FOLDER, "mlruns"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

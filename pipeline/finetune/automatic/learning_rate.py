"""Choose the learning rate of a training by a short test, once: a resumed training keeps it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from pipeline.config.groups.finetune import SGD_KINDS
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.finetune.checkpoint_folder import RATE_TEST_FILE
from pipeline.storage.files import write_file
from pipeline.yolo.job import TrainingJob
from pipeline.yolo.rate_test.choose_rate import RateTest, format_test, parse_test
from pipeline.yolo.rate_test.run_rate_test import run_rate_test

SCRATCH_RATE: Final = 0.002
"""The usual rate from random weights, as in conf/finetune/scratch.yaml; model.lr0 has none for them."""


def find_usual_rate(config: Config) -> float:
    """Return the rate around which finetune.lr0=auto tests: that of model.lr0 for the strategy."""
    strategy = config.finetune.strategy
    return SCRATCH_RATE if strategy == "scratch" else float(getattr(config.model.lr0, strategy))


def describe_low_rate(config: Config) -> str | None:
    """Return a sentence where SGD has the usual rate of AdamW, at which it hardly learns."""
    finetune = config.finetune
    if finetune.optimizer not in SGD_KINDS or finetune.lr0 != find_usual_rate(config):
        return None
    return (
        f"finetune.lr0={finetune.lr0:g} is the usual rate of AdamW, and low for finetune.optimizer="
        f"{finetune.optimizer}: Ultralytics' default is 0.01"
    )


def choose_learning_rate(job: TrainingJob, usual: float, *, is_resumed: bool) -> RateTest:
    """Return the rate that an earlier session of this training chose, or run a test.

    Args:
        job: The training; the test is kept in its folder.
        usual: See `find_usual_rate`.
        is_resumed: Whether there is a checkpoint, whose training has a learning rate already.

    Raises:
        UserError: A resumed training has lost its test, or the test cannot run.
    """
    path = job.folder / RATE_TEST_FILE
    kept = read_rate_test(path)
    if kept is None and is_resumed:
        raise UserError(
            f"{path} is missing or damaged, and it has the learning rate of the checkpoints beside it: "
            f"delete {job.folder} to train from the start"
        )
    if kept is None:
        kept = run_rate_test(job, usual)
        write_rate_test(path, kept)
    return kept


def write_rate_test(path: Path, test: RateTest) -> None:
    """Write a test with a hash of it."""
    values = format_test(test)
    write_file(path, json.dumps({**values, "sha256": _hash_values(values)}, allow_nan=False))


def read_rate_test(path: Path) -> RateTest | None:
    """Read the test of an earlier session; None if there is none, or if the file was changed."""
    try:
        values = json.loads(path.read_text("utf-8"))
        intact = values.pop("sha256") == _hash_values(values)
        return parse_test(values) if intact else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _hash_values(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()

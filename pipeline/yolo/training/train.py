"""Train one job, from its base weights or from where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.yolo import weights as yolo_weights
from pipeline.yolo.errors import in_one_sentence, one_device
from pipeline.yolo.job import MetricsRow, TrainingJob, TrainingResult, given
from pipeline.yolo.training import export, transfer
from pipeline.yolo.training.freezing import refuse_pointless
from pipeline.yolo.training.state import finished
from pipeline.yolo.training.task_trainers import TRAININGS
from pipeline.yolo.training.trainer import TrainingMixin
from pipeline.yolo.training.transfer import refuse_misfit
from pipeline.yolo.unwrap import student


def train(
    job: TrainingJob, *, on_start: Callable[[dict[str, Any]], None], on_epoch: Callable[[MetricsRow], None]
) -> TrainingResult:
    """Train to the end, or go on with a training that was stopped.

    Args:
        job: What to train.
        on_start: Called with the effective values once this session's first epoch has settled them.
        on_epoch: Called with the row of each epoch once its checkpoint is on the disk; after a resume
            with those of the epochs before, too.
    """
    arguments = job.arguments
    one_device(arguments["device"])
    with in_one_sentence(batch=arguments["batch"], imgsz=arguments["imgsz"], device=arguments["device"]):
        trainer = build(job)
        for row in trainer.state["rows"] if trainer.state else []:
            on_epoch(row)  # once more: the kill may have come before they were told
        if not finished(trainer.state):
            trainer.add_callback("on_fit_epoch_end", _Reporter(on_start, on_epoch))
            trainer.train()
    return _outcome(trainer)


def build(job: TrainingJob) -> TrainingMixin:
    """Make the trainer, its network filled with the base weights.

    Raises:
        Refused: The weights are foreign, or fit nowhere.
    """
    source = yolo_weights.load(job.base.path) if job.base.path else None
    network = transfer.architecture(job.base.architecture, source, job.task)
    trainer = TRAININGS[job.task](_arguments(job, network), job)
    if source is not None:
        source = transfer.aligned(source, network)
    trainer.model = trainer.get_model(cfg=network, weights=source, verbose=False)
    refuse_pointless(trainer.model, trainer.args.freeze, head=job.head)
    if source is not None:
        trainer.transferred = transfer.transferred(source, trainer.model)
        refuse_misfit(job.base, source, trainer.model)
    return trainer


def _arguments(job: TrainingJob, network: dict[str, Any]) -> dict[str, Any]:
    """Complete the user's arguments with those that this project owns."""
    own = given(job.arguments)
    if own.get("freeze") == "backbone":
        own["freeze"] = list(range(len(network["backbone"])))
    return own | {
        "task": job.task,
        "mode": "train",
        "model": job.base.path.name if job.base.path else job.base.architecture,
        "data": "data/prepared",
        "save_dir": str(job.folder / "ultralytics"),
        "exist_ok": True,
        "plots": False,
        "augmentations": [],  # or Ultralytics adds blur and CLAHE wherever albumentations is installed
    }


class _Reporter:
    def __init__(
        self, on_start: Callable[[dict[str, Any]], None], on_epoch: Callable[[MetricsRow], None]
    ) -> None:
        self.on_start, self.on_epoch, self.started = on_start, on_epoch, False

    def __call__(self, trainer: TrainingMixin) -> None:
        assert trainer.state is not None
        if not self.started:
            self.on_start(trainer.state["effective"])
            self.started = True
        self.on_epoch(trainer.rows[-1])


def _outcome(trainer: TrainingMixin) -> TrainingResult:
    state = trainer.state
    assert state is not None
    rows: list[MetricsRow] = state["rows"]
    best = int(state["stopper"][1])
    lengths = {"best": best, "last": len(rows)}
    written = {
        name: export.checkpoint(
            student(trainer.model), weights, arguments=state["arguments"], rows=rows[: lengths.get(name)]
        )
        for name, weights in state["weights"].items()
    }
    return TrainingResult(written, tuple(trainer.data["names"].values()), rows, best, state["effective"])

"""Train a model from its base weights, or continue a training that was stopped."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pipeline.config.devices import choose_one_device
from pipeline.core.errors import PrunedError, UserError
from pipeline.core.metric_names import VAL_GROUP, get_main_metric
from pipeline.runtime.progress import print_notice
from pipeline.storage.files import write_file
from pipeline.yolo.distributed.group_member import read_member
from pipeline.yolo.distributed.train_in_processes import train_in_processes
from pipeline.yolo.errors import check_automatic_batch, check_device, explain_ultralytics_errors
from pipeline.yolo.feature_distillation import check_teacher
from pipeline.yolo.inference.nms import lift_time_limit
from pipeline.yolo.job import (
    ULTRALYTICS_FOLDER,
    MetricsRow,
    TrainingJob,
    TrainingResult,
    WeightAverage,
    drop_unset_arguments,
)
from pipeline.yolo.training.divergence import DivergedError, check_weights, describe_best_epoch
from pipeline.yolo.training.export import copy_blank_network, export_checkpoint
from pipeline.yolo.training.freezing import check_freeze, expand_freeze
from pipeline.yolo.training.report_progress import TrainingReporter
from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint, load_saved_weights
from pipeline.yolo.training.resume.state import is_finished
from pipeline.yolo.training.task_trainers import TRAINING_CLASSES
from pipeline.yolo.training.trainer import TrainingMixin
from pipeline.yolo.training.transfer import (
    align_layers,
    check_kept_layers,
    check_transfer,
    choose_architecture,
    count_transferred,
    explain_own_network,
    forget_words,
    name_architecture,
)
from pipeline.yolo.ultralytics_environment import limit_ultralytics_log
from pipeline.yolo.weights import load_weights

BEST_BEFORE_DIVERGENCE: Final = "best-before-divergence.pt"
EpochCallback = Callable[[MetricsRow], bool | None]
"""Gets the figures of an epoch. True ends the training after it; None says nothing about that."""


def train_model(
    job: TrainingJob, *, on_start: Callable[[dict[str, Any]], None], on_epoch: EpochCallback
) -> TrainingResult:
    """Train to the last epoch, from the start or from the last checkpoint.

    On several devices each of them has a process of its own, and this one watches them.

    Args:
        job: The training.
        on_start: Called with the settings in use, after the first epoch of this session: it may still lower
            the batch size. After a resume that has no epoch left, with those of the last session.
        on_epoch: Called with the figures of each epoch once its checkpoint is on the disk; after a resume
            also with those of earlier epochs. If it says so of the last of them, no further epoch is trained.

    Raises:
        PrunedError: `on_epoch` ended the training before its last epoch.
        UserError: The training cannot start, or failed in a way that the user can mend.
    """
    arguments = job.arguments
    limit_ultralytics_log()
    check_device(arguments["device"])
    check_automatic_batch(arguments["batch"], arguments["device"])
    with explain_ultralytics_errors(
        batch=arguments["batch"], imgsz=arguments["imgsz"], device=arguments["device"]
    ):
        trainer = build_trainer(job)
        rows = trainer.state["rows"] if trainer.state else []
        # again: the process may have been killed before they were reported
        answers = [answer for answer in map(on_epoch, rows) if answer is not None]
        if trainer.state and is_finished(trainer.state):
            on_start(trainer.state["effective"])  # again, as above
            return _collect_result(trainer)._replace(trained_before=True)
        if answers and answers[-1]:
            raise _build_pruned_error(trainer)
        if job.base.path and (remark := explain_own_network(job.base, trainer.model.yaml)):
            print_notice(f"finetune: {remark}")
        if job.has_several_processes:
            train_in_processes(job, on_start=on_start, on_epoch=on_epoch)
            trainer.state = load_newest_checkpoint(job.folder)
            if not is_finished(trainer.state):
                raise _build_pruned_error(trainer)
        else:
            trainer.add_callback("on_fit_epoch_end", _EpochReporter(on_start, on_epoch))
            _run_training(trainer)
    return _collect_result(trainer)


def train_as_member(
    job: TrainingJob, *, on_start: Callable[[dict[str, Any]], None], on_epoch: EpochCallback | None
) -> None:
    """Train as one of several processes of a training, which `train_in_processes` has started.

    Args:
        job: The training.
        on_start: As of `train_model`.
        on_epoch: As of `train_model`, without epochs of earlier sessions; None for all but the first process.

    Raises:
        PrunedError: `on_epoch` ended the training before its last epoch.
        UserError: The training failed in a way that the user can mend.
    """
    arguments = job.arguments
    limit_ultralytics_log()
    with explain_ultralytics_errors(
        batch=arguments["batch"], imgsz=arguments["imgsz"], device=arguments["device"]
    ):
        trainer = build_trainer(job)
        if on_epoch is not None:
            trainer.add_callback("on_fit_epoch_end", _EpochReporter(on_start, on_epoch))
        _run_training(trainer)


def _run_training(trainer: TrainingMixin) -> None:
    try:
        with TrainingReporter() as reporter, trainer.threads:
            if trainer.member.rank == 0:
                reporter.attach(trainer)
            trainer.train()
    except DivergedError as error:
        raise UserError(_add_best_epoch(trainer, str(error))) from None


def _add_best_epoch(trainer: TrainingMixin, sentence: str) -> str:
    """Write the weights of the best epoch before a divergence, and say where they are.

    There are none before the first validation.
    """
    if trainer.state is None or "best" not in trainer.state["weights"]:
        return sentence
    result = _collect_result(trainer)
    path = trainer.job.folder / BEST_BEFORE_DIVERGENCE
    with contextlib.suppress(OSError):  # a full disk must not hide why the training ends
        write_file(path, result.weights["best"])
        return f"{sentence}; {describe_best_epoch(result.best_epoch, path)}"
    return sentence


def build_trainer(job: TrainingJob) -> TrainingMixin:
    """Build the trainer, and load the base weights into its network.

    Raises:
        UserError: The weights cannot be loaded, or do not fit the network.
    """
    lift_time_limit()
    source = _load_finite(job.base.path, "model.weights", sha256=job.base.sha256) if job.base.path else None
    teacher = job.arguments["distill_model"] and _load_finite(
        Path(job.arguments["distill_model"]), "finetune.distill_model"
    )  # Ultralytics loads it again
    network = choose_architecture(job.base, source, job.task)
    trainer = TRAINING_CLASSES[job.task](_complete_arguments(job, network), job)
    trainer.architecture = name_architecture(job.base, network)
    if source is not None:
        source = align_layers(forget_words(source, trainer.data["nc"]), network)
    trainer.model = trainer.get_model(cfg=network, weights=source, verbose=False)
    if teacher:
        check_teacher(trainer.model, teacher)
    trainer.blank_network = copy_blank_network(trainer.model)
    check_freeze(trainer.model, trainer.args.freeze, head=job.head)
    if source is not None:
        trainer.transferred_tensors = count_transferred(source, trainer.model)
        check_transfer(job.base, source, trainer.model)
        check_kept_layers(job, source, trainer.model, trainer.args.freeze)
    return trainer


def _load_finite(path: Path, key: str, *, sha256: str | None = None) -> Any:
    model = load_weights(path, sha256=sha256)
    check_weights(model, path, key)
    return model


def _complete_arguments(job: TrainingJob, network: dict[str, Any]) -> dict[str, Any]:
    """Add the arguments that this project sets to those of the user."""
    arguments = drop_unset_arguments(job.arguments)
    if "device" in arguments:
        arguments["device"] = choose_one_device(arguments["device"], read_member().local_rank)
    if "freeze" in arguments:
        arguments["freeze"] = expand_freeze(arguments["freeze"], backbone=len(network["backbone"]))
    return arguments | {
        "task": job.task,
        "mode": "train",
        "model": job.base.path.name if job.base.path else Path(job.base.architecture).name,
        "data": "data/prepared",
        "save_dir": str(job.folder / ULTRALYTICS_FOLDER),
        "exist_ok": True,
        "plots": False,
        "augmentations": [],  # or Ultralytics adds blur and CLAHE wherever albumentations is installed
    }


class _EpochReporter:
    def __init__(self, on_start: Callable[[dict[str, Any]], None], on_epoch: EpochCallback) -> None:
        self.on_start, self.on_epoch, self.started = on_start, on_epoch, False

    def __call__(self, trainer: TrainingMixin) -> None:
        assert trainer.state is not None
        if not self.started:
            self.on_start(trainer.state["effective"])
            self.started = True
        if self.on_epoch(trainer.rows[-1]) and not is_finished(trainer.state):
            raise _build_pruned_error(trainer)


def _build_pruned_error(trainer: TrainingMixin) -> PrunedError:
    assert trainer.state is not None
    rows, name = trainer.state["rows"], get_main_metric(trainer.job.task)
    epoch = int(rows[-1]["epoch"])
    of = "" if trainer.args.time else f" of {trainer.state['epochs']}"
    column = f"{VAL_GROUP}/{name}"
    value = next((row[column] for row in reversed(rows) if column in row), math.nan)
    return PrunedError(
        f"pruned after epoch {epoch}{of}: val {name} {value:.3f} is behind other trainings of the sweep; "
        "its checkpoint is kept",
        epoch=epoch,
    )


def _collect_result(trainer: TrainingMixin) -> TrainingResult:
    state = trainer.state
    assert state is not None
    rows: list[MetricsRow] = state["rows"]
    best, average = int(state["stopper"][1]), _read_average(state)
    is_taken = average is not None and average.is_taken
    written = {
        name: export_checkpoint(
            trainer.blank_network,
            weights,
            arguments=state["arguments"],
            rows=rows[: best if name == "best" and not is_taken else _count_rows(name, len(rows))],
            figures=average.figures if average and is_taken and name == "best" else None,
        )
        for name, weights in load_saved_weights(trainer.job.folder, state)
    }
    effective = state["effective"] | {"epochs": len(rows)} | _describe_average(trainer.job, average)
    return TrainingResult(written, tuple(trainer.data["names"].values()), rows, best, effective, average)


def _count_rows(name: str, trained: int) -> int:
    """Return how many epochs these weights have learned; `epoch4`, as Ultralytics counts, has five."""
    return int(name.removeprefix("epoch")) + 1 if name.startswith("epoch") else trained


def _read_average(state: dict[str, Any]) -> WeightAverage | None:
    return None if state["average"] is None else WeightAverage(**state["average"])


def _describe_average(job: TrainingJob, average: WeightAverage | None) -> dict[str, str]:
    """Describe for the record what finetune.average did; nothing where it is 0."""
    if not job.average:
        return {}
    if average is None:
        return {"average": "off: fewer than two epochs were validated"}
    worse = "" if average.is_taken else "off: no better on val than the best epoch: "
    statistics = "estimated" if average.is_estimated else "averaged"
    return {"average": f"{worse}epochs {average.epoch_list}, statistics {statistics}"}

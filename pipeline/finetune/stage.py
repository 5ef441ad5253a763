"""finetune: base weights + train images -> fine-tuned weights and one MLflow run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.model_names import SUFFIXES, of_task
from pipeline.core.paths import AUGMENTED, DECIDING, PARAMS, PREPARED, WRITTEN
from pipeline.core.tasks import Task
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.augmented import read_records
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.finetune import run_key, summary
from pipeline.finetune.checkpoint_folder import forget_abandoned, one_training
from pipeline.finetune.mlflow_log import note_data, note_epoch, note_results
from pipeline.finetune.outputs import write_curves, write_report, write_weights
from pipeline.finetune.overfitting import OverfittingVerdict, judge
from pipeline.finetune.summary import run_name
from pipeline.storage import base_weights, files, git
from pipeline.tracking.runs import open_run
from pipeline.tracking.session import RunSession
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo import epoch_metrics, weights
from pipeline.yolo.errors import without_effect
from pipeline.yolo.job import BaseWeights, TrainingJob, TrainingResult
from pipeline.yolo.schedules import UnfreezingSchedule
from pipeline.yolo.training import checkpoints
from pipeline.yolo.training.train import train as training_train

OURS = {"strategy", "precision", "fast", "val_every", "gradual"}
"""The keys of conf/finetune that are no train arguments of Ultralytics."""


USED: dict[str, Any] = {"seed": True, "augment": {"online"}, "finetune": True}
"""What of the configuration decides about the training, beside what the digests of the data stand for."""


class TrainingInputs(NamedTuple):
    """All that decides about the result, and the key that names it."""

    prepared: Manifest
    augmented: AugmentationRecords
    base: BaseWeights
    teacher: Path | None
    key: str


def run(config: Config) -> None:
    """Train, or go on where a training of the same iteration was stopped, and log it as one run."""
    inputs = gather(config)
    with one_training(inputs.key) as folder:
        for line in forget_abandoned(inputs.key):
            print(f"finetune: {line}")
        with _open_run(config, inputs, resume=checkpoints.left(folder)) as session:
            outcome = _train(session, config, inputs, folder)
            _write(session, config, inputs, outcome)
    print(f"finetune: {_summary(inputs, outcome)}")


def gather(config: Config) -> TrainingInputs:
    """Read, check and name all that decides about the result."""
    prepared = read_manifest(PREPARED)
    copies = read_records(AUGMENTED, prepared=prepared.digest)
    _refuse_nothing_to_learn(prepared)
    without_effect(arguments(config), prepared.task)
    base, teacher = _base(config, prepared.task), _teacher(config)
    architecture = base_weights.locate(base.architecture, None)
    used = config.model_dump(mode="json", include=USED, exclude={"finetune": {"workers", "verbose"}})
    key = run_key.key(
        params={**used, "architecture": base.architecture},
        data={"prepared": prepared.digest, "augmented": copies.digest},
        code=run_key.digests(),
        weights={
            "base": base.sha256,
            "teacher": files.sha256(teacher) if teacher else None,
            "architecture": files.sha256(architecture) if architecture else None,
        },
    )
    return TrainingInputs(prepared, copies, base, teacher, key)


def _base(config: Config, task: Task) -> BaseWeights:
    """Find the base weights: Ultralytics' names follow the task, a file given by path is what it is."""
    model = config.model
    own = base_weights.locate(model.architecture, None)
    architecture = model.architecture if own else of_task(model.architecture, task)
    if config.finetune.strategy == "scratch":
        return BaseWeights("random", None, None, architecture)
    name = of_task(model.weights, task)
    path = weights.resolve(name, folder=model.folder, sha256=model.sha256 if name == model.weights else None)
    return BaseWeights(model.name, path, files.sha256(path), architecture)


def _teacher(config: Config) -> Path | None:
    teacher = config.finetune.distill_model
    return weights.resolve(teacher, folder=config.model.folder, sha256=None) if teacher else None


def _refuse_nothing_to_learn(prepared: Manifest) -> None:
    for split in ("train", "val"):
        if not any(item.classes for item in prepared.of(split)):
            raise UserError(
                f"the {split} split of {PREPARED} has no labelled object: "
                f"add labelled images, or give the {split} split a share in data.split"
            )


def _open_run(config: Config, inputs: TrainingInputs, *, resume: bool) -> AbstractContextManager[RunSession]:
    tracker = config.tracking
    target = TrackingTarget(tracker.uri, tracker.experiment, tracker.timeout, tracker.system_metrics)
    name = tracker.run_name or _name(config, inputs)
    return open_run(target, key=inputs.key, name=name, tags=_tags(config, inputs), resume=resume)


def _train(session: RunSession, config: Config, inputs: TrainingInputs, folder: Path) -> TrainingResult:
    session.params(config.model_dump(mode="json"))
    session.artifact(PARAMS)
    source = Path(config.data.source or config.data.format).name
    note_data(session, inputs.prepared, inputs.augmented, name=source)
    return training_train(
        _job(config, inputs, folder),
        on_start=lambda effective: session.params({"effective": effective}),
        on_epoch=lambda row: note_epoch(session, row),
    )


def _job(config: Config, inputs: TrainingInputs, folder: Path) -> TrainingJob:
    finetune, own = config.finetune, arguments(config)
    if inputs.teacher:
        own["distill_model"] = str(inputs.teacher)
    images = Path("images/train")
    copies = [AUGMENTED / images] if inputs.augmented.copies else []
    return TrainingJob(
        arguments=own,
        base=inputs.base,
        names=inputs.prepared.names,
        train=(PREPARED / images, *copies),
        val=PREPARED / "images/val",
        precision=finetune.precision,
        fast=finetune.fast,
        val_every=finetune.val_every,
        gradual=UnfreezingSchedule(**finetune.gradual.model_dump())
        if finetune.strategy == "gradual"
        else None,
        folder=folder,
        head=finetune.strategy == "head",
        task=inputs.prepared.task,
        keypoints=inputs.prepared.keypoints,
    )


def arguments(config: Config) -> dict[str, Any]:
    """Collect what goes to Ultralytics under its own names."""
    native = config.finetune.model_dump(exclude=OURS)
    return {**native, **config.augment.online.model_dump(), "seed": config.seed}


def _name(config: Config, inputs: TrainingInputs) -> str:
    suffix = SUFFIXES[inputs.prepared.task]
    named = config.model.name.removesuffix(suffix) + suffix  # runs of several tasks share an experiment
    base = named if inputs.base.path else Path(inputs.base.architecture).stem
    return run_name(config.finetune.strategy, base, lr0=config.finetune.lr0, key=inputs.key)


def _tags(config: Config, inputs: TrainingInputs) -> dict[str, Any]:
    commit, dirty = git.state(Path.cwd(), besides=WRITTEN, untracked=DECIDING)
    return {
        **config.tracking.tags,
        "finetrack.task": inputs.prepared.task,
        "finetrack.strategy": config.finetune.strategy,
        "finetrack.base": inputs.base.name,
        "finetrack.base.sha256": inputs.base.sha256,
        "finetrack.data.digest": inputs.prepared.digest,
        "finetrack.data.leak": f"{inputs.prepared.leak} images" if inputs.prepared.leak else None,
        "finetrack.seed": config.seed,
        "finetrack.git.commit": commit,
        "finetrack.git.dirty": dirty if commit else None,
    }


def _write(session: RunSession, config: Config, inputs: TrainingInputs, outcome: TrainingResult) -> None:
    best = epoch_metrics.figures(outcome.rows[outcome.best_epoch - 1])
    overfitting = _overfitting(outcome)
    file = inputs.base.path.name if inputs.base.path else None
    base = {"name": inputs.base.name, "weights": file, "sha256": inputs.base.sha256}
    write_curves(outcome.rows)
    write_report(
        {
            "val": best,
            "best_epoch": outcome.best_epoch,
            "epochs": len(outcome.rows),
            "overfitting": overfitting._asdict(),
            "seconds": outcome.rows[-1]["seconds"],
        }
    )
    facts = {
        "run_id": session.run_id,
        "key": inputs.key,
        "task": inputs.prepared.task,
        "names": list(outcome.names),
        "single_cls": config.finetune.single_cls,
        "imgsz": outcome.effective["imgsz"],
        "base": base,
        "strategy": config.finetune.strategy,
        "effective": outcome.effective,
    }
    write_weights(outcome.weights, facts)
    session.metrics({"overfitting/gap": overfitting.gap})
    session.tags({"finetrack.overfitting": overfitting.verdict})
    session.describe(_description(config, inputs, outcome))
    note_results(session, inputs.prepared, best, outcome.best_epoch)


def _overfitting(outcome: TrainingResult) -> OverfittingVerdict:
    return judge(*epoch_metrics.losses(outcome.rows))


def _description(config: Config, inputs: TrainingInputs, outcome: TrainingResult) -> str:
    """Say what a person asks first of a run, in MLflow's markdown."""
    data = Path(config.data.source or config.data.format).name
    train, val = len(inputs.prepared.of("train")), len(inputs.prepared.of("val"))
    return (
        f"`{config.finetune.strategy}` from `{inputs.base.name}` on `{data}`: {train} train images and "
        f"{inputs.augmented.count} copies, {val} val images, for {inputs.prepared.task}.\n\n"
        f"{_summary(inputs, outcome)}"
    )


def _summary(inputs: TrainingInputs, outcome: TrainingResult) -> str:
    return summary.summary(outcome.rows, outcome.best_epoch, _overfitting(outcome), task=inputs.prepared.task)

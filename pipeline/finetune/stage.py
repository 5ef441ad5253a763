"""finetune: base weights + train images -> fine-tuned weights and one MLflow run."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pipeline.config.automatic import AUTOMATIC, require_number
from pipeline.config.schema import Config
from pipeline.core.model_names import model_name_for_task
from pipeline.core.paths import (
    AUGMENTED_FOLDER,
    PREPARED_FOLDER,
)
from pipeline.core.stages import UNGUARDED, StageGuard
from pipeline.core.tasks import Task
from pipeline.dataset.augmented import read_augmentation_records
from pipeline.dataset.prepared import read_manifest, require_labeled_objects
from pipeline.finetune.automatic.image_size import remark_on_classify_size
from pipeline.finetune.automatic.learning_rate import (
    choose_learning_rate,
    describe_low_rate,
    find_usual_rate,
)
from pipeline.finetune.automatic.resolve_values import (
    AutomaticValue,
    resolve_data_values,
    set_automatic_values,
)
from pipeline.finetune.base_images import find_base_images, remark_on_base_images
from pipeline.finetune.checkpoint_folder import (
    delete_abandoned_checkpoints,
    identify_training,
    lock_checkpoint_folder,
)
from pipeline.finetune.confirm_inputs import confirm_training_inputs
from pipeline.finetune.disk_needs import require_space_for_training
from pipeline.finetune.mlflow_log import log_automatic_values, log_data, log_epoch, log_parameters
from pipeline.finetune.outputs import OUTPUTS
from pipeline.finetune.pruning import ask_whether_pruned
from pipeline.finetune.results import summarize_result, write_results
from pipeline.finetune.run_key import collect_code_versions, compute_run_key, reduce_finetune
from pipeline.finetune.run_name import choose_base_name, name_training
from pipeline.finetune.training_inputs import Teacher, TrainingInputs
from pipeline.finetune.unused_keys import list_unused_flips, list_unused_keys
from pipeline.runtime.code_state import build_code_tags, read_code_state
from pipeline.storage.base_weights import find_base_weights
from pipeline.storage.files import hash_file
from pipeline.storage.finished_trainings import (
    delete_recorded_outputs,
    keep_outputs,
    read_finished,
    restore_outputs,
)
from pipeline.storage.verified_copy import copy_verified
from pipeline.tracking.runs import open_run
from pipeline.tracking.session import RunSession
from pipeline.tracking.store.run_tags import BASE_SEEN_TAG, DATA_TAG, TRAINING_TAG
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.distributed.train_in_processes import require_first_machine
from pipeline.yolo.errors import check_automatic_batch, check_task_arguments
from pipeline.yolo.job import BaseWeights, EmaSettings, MetricsRow, TrainingJob, TrainingResult
from pipeline.yolo.training.resume.checkpoints import has_checkpoint
from pipeline.yolo.training.train import train_model
from pipeline.yolo.unfreezing import LayerDecay, UnfreezingSchedule
from pipeline.yolo.weights import find_weights

PIPELINE_KEYS = {
    *("strategy", "precision", "fast", "threads", "val_every", "repeat_rare", "gradual", "nodes"),
    *("layer_decay", "ema", "average", "freeze_bn", "sam", "one_to_many", "distill_features"),
}
"""The keys of conf/finetune that are not train arguments of Ultralytics."""
TRAINING_KEYS: dict[str, Any] = {"seed": True, "augment": {"online"}, "finetune": True}
"""The part of the configuration that decides the result, beside data and weights; they have digests."""
EPOCHS_BEFORE_ESTIMATE: Final = 100
"""For which Ultralytics plans until it knows how many epochs fit into finetune.time: its own default."""
TRAINED_BEFORE: Final = "trained before, outputs written again; "


def run_stage(config: Config, guard: StageGuard = UNGUARDED) -> None:
    """Train, or resume a stopped training with the same run key, and log it as one run."""
    require_first_machine(config.finetune.nodes)
    inputs = gather_inputs(config)
    delete_recorded_outputs()
    for line in _remark_on_settings(config, inputs):
        print(f"finetune: {line}")
    with lock_checkpoint_folder(inputs.key) as folder:
        for line in delete_abandoned_checkpoints(inputs.key):
            print(f"finetune: {line}")
        if finished := read_finished(folder):
            guard.confirm()
            restore_outputs(folder, OUTPUTS)
            print(f"finetune: {TRAINED_BEFORE}{finished['summary']}")
            return
        is_resumed = has_checkpoint(folder)
        if not is_resumed:
            require_space_for_training(
                folder,
                base=inputs.base.path,
                prepared=inputs.prepared,
                augmented=inputs.augmented,
                finetune=config.finetune,
            )
        with _open_run(config, inputs, folder, resume=is_resumed) as session:
            log_parameters(session, config, guard)
            with confirm_training_inputs(guard, folder):
                inputs = _choose_rate(config, inputs, folder, is_resumed=is_resumed)
                log_automatic_values(session, inputs.automatic)
                resolved = set_automatic_values(config, inputs.automatic)
                outcome = _train(session, resolved, inputs, folder)
            write_results(session, config, inputs, outcome)
        _keep_training(folder, summary=summarize_result(inputs, outcome))
    before = TRAINED_BEFORE if outcome.trained_before else ""
    print(f"finetune: {before}{summarize_result(inputs, outcome)}")


def _keep_training(folder: Path, *, summary: str) -> None:
    """Keep the outputs until dvc.lock names them; where the disk is full, the last checkpoint is as good."""
    with suppress(OSError):
        keep_outputs(folder, OUTPUTS, facts={"summary": summary})


def _remark_on_settings(config: Config, inputs: TrainingInputs) -> list[str]:
    prepared, teacher = inputs.prepared, inputs.teacher
    target = _build_target(config)
    learnt = find_base_images(teacher.path, teacher.sha256, prepared, target) if teacher else None
    return [
        *list_unused_keys(config.model_dump(mode="json"), prepared.task),
        *list_unused_flips(prepared.keypoints, config.augment.online),
        *remark_on_classify_size(prepared.task, config.finetune.imgsz),
        *remark_on_base_images("model.weights", config.model.weights, inputs.base_images, prepared),
        *remark_on_base_images("finetune.distill_model", config.finetune.distill_model, learnt, prepared),
    ]


def gather_inputs(config: Config) -> TrainingInputs:
    """Read and check everything that decides the result, and compute the run key."""
    prepared = read_manifest(PREPARED_FOLDER)
    copies = read_augmentation_records(AUGMENTED_FOLDER, prepared=prepared.digest)
    require_labeled_objects(prepared)
    check_automatic_batch(config.finetune.batch, config.finetune.device)
    check_task_arguments(collect_train_arguments(config), prepared.task)
    base, teacher = _resolve_base_weights(config, prepared.task), _resolve_teacher(config)
    used = config.model_dump(mode="json", include=TRAINING_KEYS)
    used["finetune"] = reduce_finetune(used["finetune"])
    automatic = tuple(resolve_data_values(config, prepared, copies, folder=PREPARED_FOLDER))
    set_automatic_values(config, automatic)  # refuses numbers that do not fit, before there is a run
    used |= {"automatic": {value.key: value.value for value in automatic}} if automatic else {}
    used |= {"usual_lr0": find_usual_rate(config)} if config.finetune.lr0 == AUTOMATIC else {}
    key = compute_run_key(
        params={**used, "architecture": base.architecture, "name": base.name},  # DVC records the name, too
        data={"prepared": prepared.digest, "augmented": copies.digest},
        code=collect_code_versions(),
        weights={
            "base": base.sha256,
            "teacher": teacher.sha256 if teacher else None,
            "architecture": base.architecture_sha256,
        },
    )
    learnt = find_base_images(base.path, base.sha256, prepared, _build_target(config))
    return TrainingInputs(prepared, copies, base, teacher, key, automatic, base_images=learnt)


def _resolve_base_weights(config: Config, task: Task) -> BaseWeights:
    """Find the base weights; names of Ultralytics' models get the suffix of the task, paths stay as given."""
    model = config.model
    own = find_base_weights(model.architecture, None)
    architecture = model.architecture if own else model_name_for_task(model.architecture, task)
    random = BaseWeights("random", None, None, architecture, hash_file(own) if own else None)
    if config.finetune.strategy == "scratch":
        return random
    name = model_name_for_task(model.weights, task)
    path = find_weights(name, folder=model.folder, sha256=model.sha256 if name == model.weights else None)
    base = choose_base_name(model.name, model.weights)
    return replace(random, name=base, path=path, sha256=hash_file(path))


def _resolve_teacher(config: Config) -> Teacher | None:
    if config.finetune.distill_model is None:
        return None
    path = find_weights(config.finetune.distill_model, folder=config.model.folder, sha256=None)
    return Teacher(path, hash_file(path))


def _open_run(
    config: Config, inputs: TrainingInputs, folder: Path, *, resume: bool
) -> AbstractContextManager[RunSession]:
    task, key = inputs.prepared.task, inputs.key
    name = config.tracking.run_name or name_training(config, inputs.base, task=task, key=key)
    tags = {**_build_tags(config, inputs), TRAINING_TAG: identify_training(folder, is_resumed=resume)}
    return open_run(_build_target(config), key=key, name=name, tags=tags, resume=resume)


def _build_target(config: Config) -> TrackingTarget:
    used = config.tracking
    return TrackingTarget(used.uri, used.experiment, used.timeout, used.system_metrics)


def _choose_rate(config: Config, inputs: TrainingInputs, folder: Path, *, is_resumed: bool) -> TrainingInputs:
    """Choose the learning rate where it is auto, and print all values that were auto, and a rate to doubt."""
    if config.finetune.lr0 == AUTOMATIC:
        job = build_job(set_automatic_values(config, inputs.automatic), inputs, folder)
        test = choose_learning_rate(job, find_usual_rate(config), is_resumed=is_resumed)
        rate = AutomaticValue("lr0", test.lr0, test.reason)
        inputs = inputs._replace(automatic=(*inputs.automatic, rate), rate_test=test)
    for value in inputs.automatic:
        print(f"finetune: {value.key}=auto: {value}")
    if remark := describe_low_rate(config):
        print(f"finetune: {remark}")
    return inputs


def _train(session: RunSession, config: Config, inputs: TrainingInputs, folder: Path) -> TrainingResult:
    log_data(session, inputs.prepared, inputs.augmented, name=config.data.source_name)
    return train_model(
        build_job(config, inputs, folder),
        on_start=lambda effective: session.log_params({"effective": effective}),
        on_epoch=lambda row: _handle_epoch(session, config, inputs, row),
    )


def _handle_epoch(
    session: RunSession, config: Config, inputs: TrainingInputs, row: MetricsRow
) -> bool | None:
    log_epoch(session, row)
    epochs = None if config.finetune.time else require_number(config.finetune.epochs, "finetune.epochs")
    return ask_whether_pruned(row, inputs.prepared.task, epochs)


def build_job(config: Config, inputs: TrainingInputs, folder: Path) -> TrainingJob:
    """Build the training, with a folder for its checkpoints."""
    finetune, own = config.finetune, collect_train_arguments(config)
    if inputs.teacher:
        copy = folder / "teacher.pt"  # Ultralytics loads it by its name
        own["distill_model"] = copy_verified(inputs.teacher.path, copy, sha256=inputs.teacher.sha256)
    images = Path("images/train")
    copies = [AUGMENTED_FOLDER / images] if inputs.augmented.copies else []
    return TrainingJob(
        arguments=own,
        base=inputs.base,
        names=inputs.prepared.names,
        train=(PREPARED_FOLDER / images, *copies),
        val=PREPARED_FOLDER / "images/val",
        precision=finetune.precision,
        fast=finetune.fast,
        threads=None if finetune.threads == "auto" else finetune.threads,
        val_every=finetune.val_every,
        repeat_rare=finetune.repeat_rare,
        gradual=UnfreezingSchedule(**finetune.gradual.model_dump())
        if finetune.strategy == "gradual"
        else None,
        layer_decay=LayerDecay(finetune.gradual.groups, finetune.layer_decay)
        if finetune.layer_decay != 1
        else None,
        ema=EmaSettings(**finetune.ema.model_dump()),
        average=finetune.average,
        freeze_bn=finetune.freeze_bn,
        sam=finetune.sam,
        one_to_many=finetune.one_to_many,
        distill_features=finetune.distill_features,
        folder=folder,
        head=finetune.strategy == "head",
        task=inputs.prepared.task,
        keypoints=inputs.prepared.keypoints,
        nodes=finetune.nodes,
        key=inputs.key,
    )


def collect_train_arguments(config: Config) -> dict[str, Any]:
    """Collect the train arguments of Ultralytics from the configuration."""
    native = config.finetune.model_dump(exclude=PIPELINE_KEYS)
    if config.finetune.time:  # a number of one's own would close mosaic and end the warm-up by it
        native["epochs"] = EPOCHS_BEFORE_ESTIMATE
    return {**native, **config.augment.online.model_dump(), "seed": config.seed}


def _build_tags(config: Config, inputs: TrainingInputs) -> dict[str, Any]:
    return {
        **config.tracking.tags,
        "finetrack.task": inputs.prepared.task,
        "finetrack.strategy": config.finetune.strategy,
        "finetrack.base": inputs.base.name,
        "finetrack.base.sha256": inputs.base.sha256,
        BASE_SEEN_TAG: str(inputs.base_images.seen) if inputs.base_images else None,
        DATA_TAG: inputs.prepared.digest,
        "finetrack.data.leak": f"{inputs.prepared.leak} images" if inputs.prepared.leak else None,
        "finetrack.seed": config.seed,
        **build_code_tags(read_code_state(Path.cwd())),
    }

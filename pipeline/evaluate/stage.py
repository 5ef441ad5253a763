"""evaluate: fine-tuned weights + test images -> metrics with intervals, in the same MLflow run.

PyTorch, Ultralytics and matplotlib take seconds to load, and are imported where they are used: errors in the
data or the weights are reported before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.config.automatic import require_number
from pipeline.config.schema import Config
from pipeline.config.set_image_size import set_automatic_size
from pipeline.core.arrays import IntArray
from pipeline.core.errors import DamagedFileError, UserError
from pipeline.core.metric_names import get_main_metric
from pipeline.core.paths import EVALUATION_FOLDER, FINETUNED_FOLDER, PREPARED_FOLDER, TEST_METRICS_FILE
from pipeline.core.stages import UNGUARDED, StageGuard
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.image_columns import COLUMNS_FILE, COLUMNS_FOLDER
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest, require_labeled_objects
from pipeline.dataset.stored_predictions import PredictedImage
from pipeline.evaluate.details import EvaluationDetails, measure_details
from pipeline.evaluate.forgetting import (
    describe_forgetting,
    measure_forgetting,
    plan_forgetting,
)
from pipeline.evaluate.label_error_report import merge_splits, write_label_error_report
from pipeline.evaluate.metrics.bootstrap import number_groups
from pipeline.evaluate.metrics.classification import (
    ClassificationResult,
    ClassScores,
    collect_classification_metrics,
    evaluate_classification,
)
from pipeline.evaluate.metrics.detection import (
    DetectionResult,
    MetricSettings,
    SplitPredictions,
    collect_detection_metrics,
    evaluate_detections,
)
from pipeline.evaluate.metrics.label_errors import rank_suspect_labels
from pipeline.evaluate.mlflow_log import (
    describe_test_data,
    identify_evaluation,
    log_evaluation,
    log_latency,
    log_test_data,
)
from pipeline.evaluate.old_data import find_old_data_digest
from pipeline.evaluate.predict_splits import (
    SplitOutputs,
    build_model,
    is_device_present,
    measure_time_per_image,
    predict_images,
    predict_splits,
)
from pipeline.evaluate.prediction_files import (
    PREDICTIONS_FOLDER,
    describe_predicted_images,
    record_predictions,
)
from pipeline.evaluate.seen_images import find_seen_images
from pipeline.evaluate.summary import describe_crowded_images, summarize_latency, summarize_metrics
from pipeline.storage.files import hash_file, write_file, write_folder
from pipeline.storage.finished_trainings import delete_recorded_outputs
from pipeline.tracking.runs import EvaluationIdentity, attach_run
from pipeline.tracking.target import TrackingTarget

WEIGHTS: Final = FINETUNED_FOLDER / "best.pt"
PREDICT_HINT: Final = f"to use the model: yolo predict model={WEIGHTS} source=IMAGE_OR_FOLDER"
"""Ultralytics' own command: it finds the task, the classes and the image size in the file."""


class Evaluation(NamedTuple):
    """What an evaluation logs.

    Attributes:
        metrics: Those of metrics.json.
        further: Metrics of test that are only in MLflow, by name.
        latency: The time per image; None where it was not measured.
        threads: The average number of CPU threads that predicted.
    """

    metrics: dict[str, Any]
    further: dict[str, float]
    latency: dict[str, Any] | None
    threads: float


def run_stage(config: Config, guard: StageGuard = UNGUARDED) -> None:
    """Evaluate models/finetuned on the test split, and log the metrics to its run, or to a child of it."""
    delete_recorded_outputs()
    manifest = read_manifest(PREPARED_FOLDER)
    trained = _read_training_facts()
    config = set_automatic_size(config, lambda: int(trained["imgsz"]))
    identity = _identify(config, manifest, trained)
    target = TrackingTarget(config.tracking.uri, config.tracking.experiment, config.tracking.timeout)
    with attach_run(target, key=trained["key"], run_id=trained["run_id"], evaluation=identity) as session:
        _require_fitting_weights(trained, manifest)
        seen = find_seen_images(trained, manifest)
        _print_remark(seen.sentence)
        if not is_device_present(config):
            device = config.finetune.device
            print(f"evaluate: finetune.device={device} is not on this machine: using the default device")
        with write_folder(EVALUATION_FOLDER) as folder:
            done = _evaluate_weights(folder, config, manifest, trained)
            text = json.dumps(done.metrics, indent=2, ensure_ascii=False, allow_nan=False)
            guard.confirm()
            write_file(TEST_METRICS_FILE, f"{text}\n")
        log_test_data(session, manifest, seen)
        log_latency(session, done.latency)
        log_evaluation(session, config, done.metrics, threads=done.threads, further=done.further)
        if config.evaluate.registers:
            session.register_model_at_end(config.registry.name)
    _print_summary(done)


def _identify(config: Config, manifest: Manifest, trained: Mapping[str, Any]) -> EvaluationIdentity:
    """Return what tells this evaluation from another, with the dataset that it is on."""
    columns = COLUMNS_FOLDER / COLUMNS_FILE
    further = {
        "columns": hash_file(columns) if columns.is_file() else None,
        "old data": find_old_data_digest(config.evaluate.forget),
    }
    weights = trained["sha256"]["best"]
    identity = identify_evaluation(config, data=manifest.digest, weights=weights, further=further)
    return identity._replace(dataset=describe_test_data(manifest, name=config.data.source_name))


def _print_remark(sentence: str | None) -> None:
    if sentence:
        print(f"evaluate: {sentence}")


def _print_summary(done: Evaluation) -> None:
    print(f"evaluate: {summarize_metrics(done.metrics['test'])}")
    if "forgotten" in done.metrics:
        print(f"evaluate: {describe_forgetting(done.metrics['forgotten'])}")
    if done.latency:
        print(f"evaluate: {summarize_latency(done.latency)}")
    print(f"evaluate: {PREDICT_HINT}")


def _evaluate_weights(
    folder: Path, config: Config, manifest: Manifest, trained: Mapping[str, Any]
) -> Evaluation:
    """Evaluate the weights, and write everything but metrics.json into a folder."""
    _print_remark(describe_crowded_images(manifest, config.evaluate.max_det))
    plan = plan_forgetting(config, trained)
    merged = _find_merged_class(trained)
    names, weights = (merged,) if merged else manifest.names, trained["sha256"]["best"]
    head = PredictionHead(manifest.task, names, manifest.digest, weights, manifest.keypoints)
    images = {split: describe_predicted_images(manifest, split) for split in ("val", "test")}
    single = merged is not None
    with record_predictions(folder / PREDICTIONS_FOLDER, head, images) as recorder:
        outputs = predict_splits(config, manifest, WEIGHTS, single_class=single, recorder=recorder)
    latency = measure_time_per_image(config, manifest, WEIGHTS, single_class=single)
    groups = number_groups([image.group for image in images["test"]])
    result = evaluate_predictions(config, manifest, outputs, groups, merged=merged)
    scales = _compute_scales(config, images["test"])
    details = measure_details(result, outputs.test, images["test"], scales=scales)
    metrics = collect_metrics(result)
    metrics["test"] |= details.metrics
    files = [PREPARED_FOLDER / "images" / image.file for image in images["test"]]
    _write_report(folder, (result, details), files, worst=config.evaluate.worst)
    _write_label_errors(folder, config, manifest, outputs, merged=merged)
    if plan:
        metrics["forgotten"] = measure_forgetting(config, plan, WEIGHTS)
    return Evaluation(metrics, details.name_size_metrics(manifest.task), latency, outputs.threads)


def _compute_scales(config: Config, images: Sequence[PredictedImage]) -> list[float]:
    """Return the factor of the sides of each image, or of its tiles, in the network's input."""
    most = config.evaluate.tile or math.inf
    size = require_number(config.finetune.imgsz, "finetune.imgsz")
    return [size / min(max(image.width, image.height), most) for image in images]


def evaluate_predictions(
    config: Config,
    manifest: Manifest,
    outputs: SplitOutputs,
    groups: IntArray,
    *,
    merged: str | None = None,
) -> DetectionResult | ClassificationResult:
    """Compute the metrics of test, at a threshold chosen on val where the task has one.

    Args:
        config: `evaluate.bootstrap` and the seed are used.
        manifest: Of data/prepared.
        outputs: Predictions on val and test.
        groups: (test images,) index of each image's group, as in `bootstrap.resample_images`.
        merged: The name of the one class that all classes were merged into; None where they were not.
    """
    names = (merged,) if merged else manifest.names
    resamples, seed = config.evaluate.bootstrap, config.seed
    if isinstance(outputs.test, ClassScores):
        return evaluate_classification(outputs.test, names, groups, resamples=resamples, seed=seed)
    assert isinstance(outputs.val, SplitPredictions)
    settings = MetricSettings(manifest.task, names, groups, resamples, seed, config.evaluate.conf)
    return evaluate_detections(outputs.test, outputs.val, settings)


def _write_label_errors(
    folder: Path, config: Config, manifest: Manifest, outputs: SplitOutputs, *, merged: str | None
) -> None:
    """Write the suspect labels of all splits; predictions on train are made for this alone.

    Pseudo-labels are no labels that somebody could correct, and are left out.
    """
    if not config.evaluate.suspects:
        return
    manifest = manifest.select_labelled()
    model = build_model(config, WEIGHTS, single_class=merged is not None)
    train = predict_images(manifest.in_split("train"), manifest, model)
    splits = {"train": train, "val": outputs.val, "test": outputs.test}
    images = merge_splits(manifest, splits, (merged,) if merged else manifest.names)
    suspects = rank_suspect_labels(images.truths, images.detections)
    write_label_error_report(folder, suspects, images, most=config.evaluate.suspects)


def _write_report(
    folder: Path,
    measured: tuple[DetectionResult | ClassificationResult, EvaluationDetails],
    images: Sequence[Path],
    *,
    worst: int,
) -> None:
    from pipeline.evaluate.detail_report import write_details
    from pipeline.evaluate.report import write_evaluation_report

    result, details = measured
    write_evaluation_report(folder, result, images, worst=worst)
    task = "classify" if isinstance(result, ClassificationResult) else result.task
    write_details(folder, details, task, overall=collect_metrics(result)["test"][get_main_metric(task)])


def collect_metrics(result: DetectionResult | ClassificationResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    if isinstance(result, ClassificationResult):
        return collect_classification_metrics(result)
    return collect_detection_metrics(result)


def _read_training_facts() -> dict[str, Any]:
    """Read what finetune wrote about its weights."""
    try:
        trained: dict[str, Any] = json.loads((FINETUNED_FOLDER / "run.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise UserError(f"{FINETUNED_FOLDER} holds no fine-tuned weights: run finetune first") from None
    return trained


def _find_merged_class(trained: Mapping[str, Any]) -> str | None:
    return str(trained["names"][0]) if trained.get("single_cls") else None


def _require_fitting_weights(trained: Mapping[str, Any], manifest: Manifest) -> None:
    """Check that the weights are those of the training, and fit the data; that the test split has objects."""
    if not WEIGHTS.is_file() or hash_file(WEIGHTS) != trained["sha256"]["best"]:
        raise DamagedFileError(
            f"{WEIGHTS} is not what finetune wrote: run finetune again (dvc repro -f finetune)",
            file=str(WEIGHTS),
        )
    if (task := trained.get("task", manifest.task)) != manifest.task:
        raise UserError(
            f"{FINETUNED_FOLDER} was trained for {task}, "
            f"but {PREPARED_FOLDER} is for {manifest.task}: run finetune again"
        )
    names = trained["names"]
    if not _find_merged_class(trained) and tuple(names) != manifest.names:
        raise UserError(
            f"{FINETUNED_FOLDER} was trained for the classes {', '.join(names)}, "
            f"but {PREPARED_FOLDER} has {', '.join(manifest.names)}: run finetune again"
        )
    require_labeled_objects(manifest, ["test"])

"""evaluate: fine-tuned weights + test images -> metrics with intervals, in the same MLflow run.

PyTorch, Ultralytics and matplotlib take seconds to load, and are imported where they are used: errors in the
data or the weights are reported before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.metric_names import F1, HIGH, LOW, PRECISION, RECALL
from pipeline.core.paths import EVALUATION_FOLDER, FINETUNED_FOLDER, PREPARED_FOLDER, TEST_METRICS_FILE
from pipeline.core.stages import UNGUARDED, StageGuard
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest, require_labeled_objects
from pipeline.evaluate.label_error_report import merge_splits, write_label_error_report
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
from pipeline.evaluate.mlflow_log import identify_evaluation, log_evaluation
from pipeline.runtime.gc_pause import pause_gc
from pipeline.storage.files import hash_file, write_file, write_folder
from pipeline.storage.finished_trainings import delete_recorded_outputs
from pipeline.tracking.runs import attach_run
from pipeline.tracking.target import TrackingTarget

if TYPE_CHECKING:
    from pipeline.evaluate.predictions import TrainedModel

WEIGHTS: Final = FINETUNED_FOLDER / "best.pt"
PREDICT_HINT: Final = f"to use the model: yolo predict model={WEIGHTS} source=IMAGE_OR_FOLDER"
"""Ultralytics' own command: it finds the task, the classes and the image size in the file."""


class SplitOutputs(NamedTuple):
    """Predictions of a model on val and test, in the order of the manifest.

    Attributes:
        val: Of the val images.
        test: Of the test images.
        threads: The average number of CPU threads that predicted.
    """

    val: SplitPredictions | ClassScores
    test: SplitPredictions | ClassScores
    threads: float = 0.0


def run_stage(config: Config, guard: StageGuard = UNGUARDED) -> None:
    """Evaluate models/finetuned on the test split, and log the metrics to its run, or to a child of it."""
    delete_recorded_outputs()
    manifest = read_manifest(PREPARED_FOLDER)
    trained = _read_training_facts()
    identity = identify_evaluation(config, data=manifest.digest, weights=trained["sha256"]["best"])
    target = TrackingTarget(config.tracking.uri, config.tracking.experiment, config.tracking.timeout)
    with attach_run(target, key=trained["key"], run_id=trained["run_id"], evaluation=identity) as session:
        _require_fitting_weights(trained, manifest)
        merged = _find_merged_class(trained)
        outputs = predict_splits(config, manifest, WEIGHTS, single_class=merged is not None)
        result = evaluate_predictions(config, manifest, outputs, merged=merged)
        metrics = collect_metrics(result)
        images = [PREPARED_FOLDER / "images" / item.file for item in manifest.in_split("test")]
        with write_folder(EVALUATION_FOLDER) as folder:
            _write_report(folder, result, images, worst=config.evaluate.worst)
            _write_label_errors(folder, config, manifest, outputs, merged=merged)
            guard.confirm()
            write_file(
                TEST_METRICS_FILE, json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            )
        log_evaluation(session, config, metrics, threads=outputs.threads)
        if config.evaluate.registers:
            session.register_model_at_end(config.registry.name)
    print(f"evaluate: {_summarize_metrics(metrics['test'])}")
    print(f"evaluate: {PREDICT_HINT}")


def predict_splits(
    config: Config, manifest: Manifest, weights: Path, *, single_class: bool = False
) -> SplitOutputs:
    """Predict on val and test with one load of the weights.

    Args:
        config: `evaluate`, and of `finetune` imgsz, device and threads are used.
        manifest: Of data/prepared.
        weights: Any Ultralytics checkpoint of the manifest's task and classes, or of them merged into one.
        single_class: Whether the classes were merged into one for the training (finetune.single_cls).
    """
    val, test = manifest.in_split("val"), manifest.in_split("test")
    model, threads = _build_model(config, weights, single_class), list[float]()
    model.settings["on_threads"] = threads.append
    both = _predict_images((*val, *test), manifest, model)
    return SplitOutputs(both.select(slice(len(val))), both.select(slice(len(val), None)), *threads)


def _predict_images(
    images: Sequence[ImageRecord], manifest: Manifest, model: TrainedModel
) -> SplitPredictions | ClassScores:
    from pipeline.evaluate.predictions import predict_image_classes, predict_objects

    return (
        predict_image_classes(images, model)
        if manifest.task == "classify"
        else predict_objects(images, manifest, model)
    )


def _build_model(config: Config, weights: Path, single_class: bool) -> TrainedModel:
    with pause_gc():
        from pipeline.evaluate.predictions import TrainedModel
        from pipeline.yolo.inference.loaded_model import InferenceSettings

    wanted = config.evaluate
    settings = InferenceSettings(
        imgsz=config.finetune.imgsz,
        conf=wanted.conf,
        iou=wanted.iou,
        max_det=wanted.max_det,
        batch=wanted.batch,
        device=_choose_device(config.finetune.device),
        threads=None if config.finetune.threads == "auto" else config.finetune.threads,
        tile=wanted.tile,
        overlap=wanted.overlap,
    )
    return TrainedModel(weights, single_class, settings)


def evaluate_predictions(
    config: Config, manifest: Manifest, outputs: SplitOutputs, *, merged: str | None = None
) -> DetectionResult | ClassificationResult:
    """Compute the metrics of test, at a threshold chosen on val where the task has one.

    Args:
        config: `evaluate.bootstrap` and the seed are used.
        manifest: Of data/prepared.
        outputs: Predictions on val and test.
        merged: The name of the one class that all classes were merged into; None where they were not.
    """
    names = (merged,) if merged else manifest.names
    resamples, seed = config.evaluate.bootstrap, config.seed
    if isinstance(outputs.test, ClassScores):
        return evaluate_classification(outputs.test, names, resamples=resamples, seed=seed)
    assert isinstance(outputs.val, SplitPredictions)
    settings = MetricSettings(manifest.task, names, resamples, seed)
    return evaluate_detections(outputs.test, outputs.val, settings)


def _write_label_errors(
    folder: Path, config: Config, manifest: Manifest, outputs: SplitOutputs, *, merged: str | None
) -> None:
    """Write the suspect labels of all splits; predictions on train are made for this alone."""
    if not config.evaluate.suspects:
        return
    model = _build_model(config, WEIGHTS, merged is not None)
    train = _predict_images(manifest.in_split("train"), manifest, model)
    splits = {"train": train, "val": outputs.val, "test": outputs.test}
    images = merge_splits(manifest, splits, (merged,) if merged else manifest.names)
    suspects = rank_suspect_labels(images.truths, images.detections, most=config.evaluate.suspects)
    write_label_error_report(folder, suspects, images)


def _write_report(
    folder: Path, result: DetectionResult | ClassificationResult, images: Sequence[Path], *, worst: int
) -> None:
    from pipeline.evaluate.report import write_evaluation_report

    write_evaluation_report(folder, result, images, worst=worst)


def collect_metrics(result: DetectionResult | ClassificationResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    if isinstance(result, ClassificationResult):
        return collect_classification_metrics(result)
    return collect_detection_metrics(result)


def _choose_device(wanted: str | int | list[int] | None) -> str | int | list[int] | None:
    """Return the device of the training, or None where this machine does not have it."""
    from pipeline.yolo.errors import check_device

    try:
        check_device(wanted)
    except UserError:
        print(f"evaluate: finetune.device={wanted} is not on this machine: using the default device")
        return None
    return wanted


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
        raise UserError(f"{WEIGHTS} is not what finetune wrote: run finetune again (dvc repro -f finetune)")
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


def _summarize_metrics(test: Mapping[str, Any]) -> str:
    """Summarize the metrics in one line, those with an interval first."""
    with_interval = (
        f"{name} {test[name]:.3f} ({test[name + LOW]:.3f} to {test[name + HIGH]:.3f})"
        for name in test
        if name + LOW in test
    )
    counted = f" with {test['objects']} objects" if "objects" in test else ""
    at = f" at threshold {test['threshold']:.3f}" if "threshold" in test else ""
    others = [name for name in test if name.endswith((PRECISION, RECALL, F1))]
    rest = ", ".join(f"{name} {test[name]:.3f}" for name in others)
    return f"{', '.join(with_interval)} on {test['images']} test images{counted};{at} {rest}"

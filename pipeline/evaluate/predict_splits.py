"""Predict on the splits of the prepared dataset with the settings of the evaluation.

PyTorch and Ultralytics take seconds to load, and are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.config.automatic import require_number
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.prediction_files import PredictionRecorder
from pipeline.runtime.gc_pause import pause_gc

if TYPE_CHECKING:
    from pipeline.evaluate.predictions import TrainedModel
    from pipeline.yolo.inference.loaded_model import InferenceSettings


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


def predict_splits(
    config: Config,
    manifest: Manifest,
    weights: Path,
    *,
    single_class: bool = False,
    recorder: PredictionRecorder | None = None,
) -> SplitOutputs:
    """Predict on val and test with one load of the weights.

    Args:
        config: `evaluate`, and of `finetune` imgsz, device and threads are used.
        manifest: Of data/prepared.
        weights: Any Ultralytics checkpoint of the manifest's task and classes, or of them merged into one.
        single_class: Whether the classes were merged into one for the training (finetune.single_cls).
        recorder: Writes the predictions to files.
    """
    val, test = manifest.in_split("val"), manifest.in_split("test")
    model, threads = build_model(config, weights, single_class=single_class), list[float]()
    model.settings["on_threads"] = threads.append
    both = predict_images((*val, *test), manifest, model, recorder)
    return SplitOutputs(both.select(slice(len(val))), both.select(slice(len(val), None)), *threads)


def predict_images(
    images: Sequence[ImageRecord],
    manifest: Manifest,
    model: TrainedModel,
    recorder: PredictionRecorder | None = None,
) -> SplitPredictions | ClassScores:
    """Predict on prepared images of any splits; `recorder` writes the predictions to files."""
    from pipeline.evaluate.predictions import predict_image_classes, predict_objects

    return (
        predict_image_classes(images, model, recorder)
        if manifest.task == "classify"
        else predict_objects(images, manifest, model, recorder)
    )


def measure_time_per_image(
    config: Config, manifest: Manifest, weights: Path, *, single_class: bool
) -> dict[str, Any] | None:
    """Measure the time per image on test images, with the settings of the evaluation.

    Returns:
        The fields of `yolo.inference.latency.Latency`; None where evaluate.latency is 0.
    """
    if not config.evaluate.latency:
        return None
    model = build_model(config, weights, single_class=single_class)
    from pipeline.yolo.inference.latency import measure_latency

    files = [PREPARED_FOLDER / "images" / item.file for item in manifest.in_split("test")]
    count = config.evaluate.latency
    found = measure_latency(weights, files, count=count, task=manifest.task, settings=model.settings)
    return found._asdict()


def build_model(config: Config, weights: Path, *, single_class: bool) -> TrainedModel:
    """Return the weights with the settings of the evaluation."""
    with pause_gc():
        from pipeline.evaluate.predictions import TrainedModel
    imgsz = require_number(config.finetune.imgsz, "finetune.imgsz")
    return TrainedModel(weights, single_class, build_inference_settings(config, imgsz))


def build_inference_settings(config: Config, imgsz: int) -> InferenceSettings:
    """Return how the evaluation predicts.

    Args:
        config: `evaluate`, and of `finetune` device and threads are used. A device that this machine does not
            have is left out.
        imgsz: The model's image size in pixels.
    """
    with pause_gc():
        from pipeline.yolo.inference.loaded_model import InferenceSettings

    wanted = config.evaluate
    return InferenceSettings(
        imgsz=imgsz,
        conf=wanted.conf,
        iou=wanted.iou,
        max_det=wanted.max_det,
        batch=wanted.batch,
        device=config.finetune.device if is_device_present(config) else None,
        threads=None if config.finetune.threads == "auto" else config.finetune.threads,
        tile=wanted.tile,
        overlap=wanted.overlap,
    )


def is_device_present(config: Config) -> bool:
    """Check whether this machine has the device of the training; else the default device is used."""
    from pipeline.yolo.errors import check_device

    try:
        check_device(config.finetune.device)
    except UserError:
        return False
    return True

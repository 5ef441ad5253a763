"""Get the predictions of the models to compare: the stored ones, or made anew with their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.comparison.compare_models import ComparedModel
from pipeline.comparison.models.candidates import Candidate
from pipeline.comparison.models.model_differences import DIGITS
from pipeline.comparison.models.prepared_data import open_prepared_data
from pipeline.comparison.models.training_images import remark_on_training_images
from pipeline.comparison.models.zero_shot import AskedModel, ask_for_classes
from pipeline.config.schema import Config
from pipeline.core.config_diff import format_yaml_value
from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.dataset.history import WORKSPACE
from pipeline.dataset.image_columns import remark_on_groups
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.confidence_threshold import find_best_threshold
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.similarity import attach_similarity
from pipeline.iterations.fetch_predictions import fetch_predictions
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.inference_settings import choose_measuring_settings, find_imgsz
from pipeline.iterations.iteration import EVALUATION_SETTINGS, Iteration
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.runtime.progress import print_notice
from pipeline.tracking.target import TrackingTarget

PREDICTION_SETTINGS: Final = tuple(f"evaluate.{name}" for name in EVALUATION_SETTINGS)
"""Settings that decide predictions: where those of two models differ, a difference may come from them."""
STAGE: Final = "compare"


class CollectedModels:
    """The models with their predictions.

    Attributes:
        models: In the order of the candidates.
        data: What models predicted on anew; None where all predictions were stored.
        remarks: What a reader has to know, a sentence each.
    """

    def __init__(self) -> None:
        self.models: list[ComparedModel] = []
        self.data: PreparedData | None = None
        self.remarks: list[str] = []


@dataclass(frozen=True)
class ModelCollector:
    """Collects predictions.

    Args:
        config: `evaluate`, `finetune.device` and `registry` are used.
        target: MLflow's store and experiment.
        folder: Receives predictions and data of a revision; it stays as long as they are used.
        on: The revision whose test images all models predict on; None for stored predictions.
    """

    config: Config
    target: TrackingTarget
    folder: Path
    on: str | None = None
    _found: CollectedModels = field(default_factory=CollectedModels)
    _settings: list[Mapping[str, Any]] = field(default_factory=list)

    def collect(self, candidates: Sequence[Candidate]) -> CollectedModels:
        """Return the models with their predictions.

        Raises:
            UserError: Predictions or weights cannot be had, or do not fit the data.
        """
        for place, candidate in enumerate(candidates):
            parts = [
                self._get_predictions(iteration, self.folder / f"{place}-{number}")
                for number, iteration in enumerate(candidate.iterations)
            ]
            tests, thresholds = zip(*parts, strict=True)
            self._found.models.append(ComparedModel(candidate.label, tests, thresholds))
        self._found.remarks += remark_on_settings(self._settings)
        return self._found

    def _get_predictions(self, iteration: Iteration, folder: Path) -> tuple[StoredPredictions, float | None]:
        if self.on or iteration.file:
            return self._predict(iteration, folder)
        stored = fetch_predictions(iteration, self.target)
        test = None if stored is None else read_stored_predictions(stored, "test")
        if stored is None or test is None or iteration.sha256 not in {None, test.weights}:
            why = "has no stored predictions" if test is None else "has stored predictions of other weights"
            print_notice(f"compare: {iteration.label} {why}: it predicts on test now")
            return self._predict(iteration, folder)
        self._settings.append(iteration.params)
        if iteration.data:
            images = [image.sha256 for image in test.images]
            name = f"dataset {test.data[:DIGITS]}"
            self._found.remarks += remark_on_training_images(iteration, images, data=test.data, name=name)
        threshold = iteration.predicts_with.get("conf")
        return test, _read_threshold(stored) if threshold is None else float(threshold)

    def _predict(self, iteration: Iteration, folder: Path) -> tuple[StoredPredictions, float | None]:
        data = self._open_data()
        self._settings.append(
            {key: getattr(self.config.evaluate, key.split(".")[1]) for key in PREDICTION_SETTINGS}
        )
        asked = ask_for_classes(
            AskedModel(iteration, fetch_weights(iteration, self.target)),
            data,
            self.config,
            target=folder.with_name(f"{folder.name}.pt"),
        )
        images = [item.sha256 for item in data.manifest.in_split("test")]
        self._found.remarks += remark_on_training_images(
            iteration, images, data=data.manifest.digest, name=data.name
        )
        self._found.remarks += asked.remarks
        with self._open_predictor(asked.iteration, asked.weights, data) as predictor:
            test = predictor.predict_split("test", folder)
            known = iteration.predicts_with.get("conf")
            if known is not None or not data.manifest.in_split("val") or test.task == "classify":
                return test, None if known is None else float(known)
            val = predictor.predict_split("val", folder)
            return test, find_threshold(val, least=self.config.evaluate.conf)

    def _open_predictor(self, iteration: Iteration, weights: Path, data: PreparedData) -> SplitPredictor:
        imgsz = find_imgsz(iteration, weights, stage=STAGE)
        settings = choose_measuring_settings(self.config, imgsz, data.manifest.task)
        return SplitPredictor(iteration, weights, data, settings=settings, stage=STAGE)

    def _open_data(self) -> PreparedData:
        if self._found.data is None:
            data = open_prepared_data(self.on or WORKSPACE, self.folder / "data")
            self._found.data = data
            self._found.remarks += remark_on_groups(data.name, data.root)
        return self._found.data


def find_threshold(val: StoredPredictions, *, least: float | None = None) -> float | None:
    """Return the score with the highest mean F1 on val; None for classify, and where val has no objects.

    Args:
        val: The predictions.
        least: The score from which they were predicted, 0 to 1; None: their lowest one.
    """
    if val.task == "classify":
        return None
    detections = list(_compare_with_truth(val))
    table = build_detection_table(val.truths, detections, len(val.names))
    if not table.objects.any():
        return None
    lowest = float(table.scores.min()) if least is None and len(table.scores) else 0.0
    return find_best_threshold(table, least=lowest if least is None else least)


def remark_on_settings(used: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence about settings of `evaluate` that decide predictions and differ between models.

    Args:
        used: The settings of each training, as far as they are known.
    """
    found = []
    for key in PREDICTION_SETTINGS:
        values = dict.fromkeys(format_yaml_value(each[key]) for each in used if key in each)
        if len(values) > 1:
            found.append(f"{key} is {' and '.join(values)}")
    if not found:
        return []
    return [f"the models predicted with other settings ({', '.join(found)}): --on workspace uses one for all"]


def _read_threshold(folder: Path) -> float | None:
    try:
        return find_threshold(read_stored_predictions(folder, "val"))
    except UserError:  # there are none on val
        return None


def _compare_with_truth(val: StoredPredictions) -> Iterator[Detections]:
    for image, truth, found in zip(val.images, val.truths, val.detections, strict=True):
        yield attach_similarity(truth, found, val.task, size=(image.width, image.height))

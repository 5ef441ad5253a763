"""Get the predictions of two models on one test set: the stored ones, or made anew where it changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.dataset.image_columns import remark_on_groups
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.iterations.fetch_predictions import fetch_predictions
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.iteration import SINGLE_CLASS_KEY, Iteration, get_evaluation_settings
from pipeline.registry.newer_source import find_newer_source
from pipeline.runtime.progress import print_notice
from pipeline.tracking.target import TrackingTarget

ImageIdentity = tuple[tuple[str, str], ...]
"""The contents of each image and of its labels, by SHA-256, in any order."""


class PredictionPair(NamedTuple):
    """The predictions of two models on the same test images.

    Attributes:
        champion: Of the champion.
        challenger: Of the challenger.
        notes: What was predicted anew, and why, for people.
    """

    champion: StoredPredictions
    challenger: StoredPredictions
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _TestSet:
    """What both models are judged on.

    Args:
        images: See `identify_images`.
        manifest: Of data/prepared if it has these images; None if not.
        settings: Those of `EVALUATION_SETTINGS`, as the challenger was evaluated.
    """

    images: ImageIdentity
    manifest: Manifest | None
    settings: Mapping[str, Any]


def predict_pair(
    champion: Iteration, challenger: Iteration, config: Config, target: TrackingTarget, folder: Path
) -> PredictionPair:
    """Return the predictions of two models on the present test set.

    The present test set is that of data/prepared if it is for the task and classes of the challenger, else
    the one that the challenger was evaluated on. A model whose stored predictions are of other images, other
    labels or other settings than the challenger's predicts anew.

    Args:
        champion: The model in use.
        challenger: The model that may replace it.
        config: `evaluate` and `finetune.device` are used where a model predicts anew.
        target: MLflow's store.
        folder: An empty folder, which stays as long as the predictions are used.

    Raises:
        UserError: The models are of different tasks or classes, images or weights are missing, or
            data/prepared is older than the source, and has another test set than the challenger's own.
    """
    _require_same_classes(champion, challenger)
    both = (champion, challenger)
    stored = [_read_stored(iteration, target) for iteration in both]
    test = _find_test_set(challenger, stored[1], config)
    found, notes = [], []
    for number, (iteration, known) in enumerate(zip(both, stored, strict=True)):
        reason = _find_change(iteration, known, test, config)
        if known is None or reason:
            _require_images(iteration, test, reason)
            print_notice(f"{iteration.label} predicts on test anew: {reason}")
            notes.append(f"{iteration.label} was evaluated anew: {reason}")
            known = _predict_anew(iteration, test, config, target, folder / str(number))
        found.append(known)
    groups = next((each.images for each, old in zip(found, stored, strict=True) if each is old), None)
    if groups is None:
        notes += remark_on_groups(str(PREPARED_FOLDER))
    first, second = (_set_groups(each, groups) for each in found)
    return PredictionPair(first, second, tuple(notes))


def _find_change(
    iteration: Iteration, stored: StoredPredictions | None, test: _TestSet, config: Config
) -> str:
    """Return why stored predictions cannot be used; empty if they can."""
    if stored is None:
        return "it has no stored predictions"
    if identify_images(stored.images) != test.images:
        return "the test images or their labels changed since"
    if iteration.sha256 not in {None, stored.weights}:
        return "its stored predictions are of other weights"
    same = get_evaluation_settings(iteration, config) == test.settings
    return "" if same else "it was evaluated with other settings"


def identify_images(
    images: tuple[PredictedImage, ...] | tuple[ImageRecord, ...],
) -> ImageIdentity:
    """Return what identifies test images: the contents of each, and of its labels, in any order."""
    return tuple(sorted((image.sha256, image.labels_sha256) for image in images))


def _require_same_classes(champion: Iteration, challenger: Iteration) -> None:
    if champion.task != challenger.task:
        raise UserError(
            f"{challenger.label} is for {challenger.task}, and the champion {champion.label} for "
            f"{champion.task}: set registry.name for another registered model"
        )
    if champion.names and challenger.names and champion.names != challenger.names:
        raise UserError(
            f"{challenger.label} has the classes {', '.join(challenger.names)}, and the champion "
            f"{champion.label} {', '.join(champion.names)}: set registry.name for another registered model"
        )


def _read_stored(iteration: Iteration, target: TrackingTarget) -> StoredPredictions | None:
    place = fetch_predictions(iteration, target)
    return None if place is None else read_stored_predictions(place, "test")


def _read_present_manifest(challenger: Iteration) -> Manifest | None:
    """Return the manifest of data/prepared if its test images fit the challenger; None if not."""
    with suppress(UserError):
        manifest = read_manifest(PREPARED_FOLDER)
        fits = manifest.task == challenger.task and challenger.names in {manifest.names, ()}
        return manifest if (fits or _is_merged(challenger)) and manifest.in_split("test") else None
    return None


def _is_merged(iteration: Iteration) -> bool:
    return bool(iteration.params.get(SINGLE_CLASS_KEY))


def _find_test_set(challenger: Iteration, stored: StoredPredictions | None, config: Config) -> _TestSet:
    manifest = _read_present_manifest(challenger)
    if manifest is None and stored is None:
        raise UserError(
            f"{challenger.label} has no stored predictions, and {PREPARED_FOLDER} has no test images for it: "
            "run `dvc repro`, or `dvc checkout` at its commit"
        )
    images = identify_images(manifest.in_split("test") if manifest else stored.images if stored else ())
    if manifest and (stored is None or identify_images(stored.images) != images):
        _require_present_source()
    return _TestSet(images, manifest, get_evaluation_settings(challenger, config))


def _require_present_source() -> None:
    """Require that data/prepared is not older than the source: the challenger may be of newer labels."""
    source = find_newer_source()
    if source:
        raise UserError(
            f"{PREPARED_FOLDER} was made before {source} changed, and its test images and labels may be "
            "older than the challenger's: run `dvc repro prepare`, then promote again"
        )


def _require_images(iteration: Iteration, test: _TestSet, reason: str) -> None:
    if test.manifest is None:
        raise UserError(
            f"{iteration.label} has to predict on the challenger's test images anew ({reason}), and "
            f"{PREPARED_FOLDER} does not have them: run `dvc checkout` at the challenger's commit, then "
            "promote again"
        )


def _predict_anew(
    iteration: Iteration, test: _TestSet, config: Config, target: TrackingTarget, place: Path
) -> StoredPredictions:
    """Predict on the test images of data/prepared."""
    assert test.manifest is not None  # see _require_images
    from pipeline.iterations.inference_settings import choose_measuring_settings, find_imgsz
    from pipeline.iterations.predict_split import PreparedData, SplitPredictor

    weights, data = fetch_weights(iteration, target), PreparedData(test.manifest)
    imgsz = find_imgsz(iteration, weights, stage="promote")
    settings = choose_measuring_settings(config, imgsz, test.manifest.task, test.settings)
    with SplitPredictor(iteration, weights, data, settings=settings, stage="promote") as predictor:
        return predictor.predict_split("test", place)


def _set_groups(
    predictions: StoredPredictions, images: tuple[PredictedImage, ...] | None
) -> StoredPredictions:
    """Take groups of near copies and slices from stored predictions of the same images, if there are any."""
    if images is None or identify_images(images) != identify_images(predictions.images):
        return predictions
    known = {(image.sha256, image.labels_sha256): image for image in images}
    described = []
    for image in predictions.images:
        other = known[image.sha256, image.labels_sha256]
        described.append(image._replace(group=other.group, slices=other.slices))
    return replace(predictions, images=tuple(described))

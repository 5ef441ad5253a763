"""What the training made the model forget: base weights and fine-tuned ones, on the classes that both know.

PyTorch and Ultralytics take seconds to load, and are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.config.automatic import require_number
from pipeline.config.schema import Config
from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.metric_names import get_main_metric
from pipeline.core.model_names import model_name_for_task
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.evaluate.metrics.bootstrap import number_groups
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.similarity import attach_similarity
from pipeline.evaluate.metrics.subsets.shared_classes import (
    ABSENT,
    Resamples,
    SharedClasses,
    compare_guesses,
    compare_tables,
    find_shared_classes,
    select_shared_detections,
    select_shared_guess,
    select_shared_objects,
)
from pipeline.evaluate.old_data import OldData, open_old_data
from pipeline.storage.files import hash_file

if TYPE_CHECKING:
    from pipeline.core.arrays import IntArray
    from pipeline.core.detections import GroundTruth
    from pipeline.yolo.inference.loaded_model import InferenceSettings


class ForgettingPlan(NamedTuple):
    """What is compared on which images.

    Attributes:
        data: The images.
        base: The base weights.
        shared: The classes that both models and the images have.
    """

    data: OldData
    base: Path
    shared: SharedClasses


def plan_forgetting(config: Config, trained: Mapping[str, Any]) -> ForgettingPlan | None:
    """Find images and base weights; a fault in them is reported before the evaluation begins.

    Args:
        config: `evaluate.forget` names the images: `base` for the present test split, or the folder of
            another prepared dataset, whose test split counts; null measures nothing.
        trained: What finetune wrote about its weights.

    Raises:
        UserError: The folder holds no prepared dataset of the task, or no test image that the training has
            not seen, or the base weights are not here, or are of another task or of other keypoints than the
            images.
    """
    wanted = config.evaluate.forget
    if wanted is None:
        return None
    from pipeline.yolo.inference.class_names import spell_class_names

    data = open_old_data(wanted, trained)
    base = _find_base(config, trained)
    names = data.manifest.names
    first, second = (
        spell_class_names(each, names) for each in (_read_base_names(base, data.manifest), trained["names"])
    )
    shared = find_shared_classes(names, first, second)
    return ForgettingPlan(data, base, shared)


def measure_forgetting(config: Config, plan: ForgettingPlan, weights: Path) -> dict[str, Any]:
    """Measure the base weights and the fine-tuned ones on the classes that both know.

    Of classify, the guess of a model is the most probable one of these classes: there have to be two.

    Args:
        config: `evaluate`, the seed, and of `finetune` imgsz and device are used.
        plan: See `plan_forgetting`.
        weights: The fine-tuned ones.

    Returns:
        Main metric of both, its difference with a 95% interval, and a row per class; only what was compared
        and a count of 0 classes where too few are shared.
    """
    task = plan.data.manifest.task
    facts = {"on": plan.data.name, "metric": get_main_metric(task)}
    compared = (_compare_guesses if task == "classify" else _compare_detections)(config, plan, weights)
    known = {"known_images": plan.data.known} if plan.data.known else {}
    return {**facts, "classes": len(compared.get("per_class", ())), **compared, **known}


def _compare_detections(config: Config, plan: ForgettingPlan, weights: Path) -> dict[str, Any]:
    truths = list(_iterate_truths(plan.data, plan.shared))
    if not any(len(truth.classes) for truth in truths):
        return {}
    names = plan.shared.names
    before, now = (
        build_detection_table(truths, list(_detect(config, path, plan.data, truths, places)), len(names))
        for path, places in _list_models(plan, weights)
    )
    return compare_tables(before, now, names, _choose_resamples(config, plan.data, plan.data.images))


def _compare_guesses(config: Config, plan: ForgettingPlan, weights: Path) -> dict[str, Any]:
    """Compare top-1 on the images of shared classes."""
    places = plan.shared.of_data
    images = [image for image in plan.data.images if places[image.classes[0]] != ABSENT]
    if len(plan.shared.names) < 2 or not images:
        return {}
    files = [plan.data.folder / "images" / image.file for image in images]
    before, now = (_guess(config, path, files, known) for path, known in _list_models(plan, weights))
    truth = places[[image.classes[0] for image in images]]
    resamples = _choose_resamples(config, plan.data, images)
    return compare_guesses((before, now), truth, plan.shared.names, resamples)


def _choose_resamples(config: Config, data: OldData, images: Sequence[ImageRecord]) -> Resamples:
    """Return how the images are drawn again: in the groups that the project of the data knows."""
    groups = number_groups([data.groups[image.file] for image in images])
    return Resamples(groups, config.evaluate.bootstrap, config.seed)


def _list_models(plan: ForgettingPlan, weights: Path) -> tuple[tuple[Path, IntArray], ...]:
    """Return the base weights and the fine-tuned ones, each with the places of its classes."""
    return (plan.base, plan.shared.of_first), (weights, plan.shared.of_second)


def describe_forgetting(found: Mapping[str, Any]) -> str:
    """Describe in one line how far the main metric of the base's classes fell."""
    if not found["classes"]:
        return (
            "forgotten: not measured, since base and fine-tuned weights share too few classes that "
            f"{found['on']} has"
        )
    interval = known = ""
    if "difference_low" in found:
        interval = f" ({found['difference_low']:+.3f} to {found['difference_high']:+.3f})"
    if "known_images" in found:
        known = f"; without {found['known_images']} of its test images, which are in train or val here"
    return (
        f"forgotten: {found['metric']} of {found['classes']} shared classes on {found['on']} "
        f"{found['base']:.3f} before, {found['finetuned']:.3f} now: "
        f"{found['difference']:+.3f}{interval}{known}"
    )


def _find_base(config: Config, trained: Mapping[str, Any]) -> Path:
    """Return the base weights that the training started from."""
    from pipeline.yolo.weights import find_weights

    base, model = trained["base"], config.model
    if base["sha256"] is None:
        raise UserError("evaluate.forget: the training started from random weights, which know nothing")
    name = model_name_for_task(model.weights, trained["task"])
    path = find_weights(name, folder=model.folder, sha256=None)
    if hash_file(path) != base["sha256"]:
        raise UserError(
            f"evaluate.forget: {path} is not what the training started from ({base['weights']}): set "
            "model.weights and model.folder as they were, or evaluate.forget=null"
        )
    return path


def _read_base_names(weights: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return the classes of base weights.

    Raises:
        UserError: What they predict cannot be compared with the labels.
    """
    from pipeline.yolo.inference.class_names import read_class_names
    from pipeline.yolo.inference.model_file import load_checkpoint_model

    model = load_checkpoint_model(weights, None, "evaluate")
    found, wanted = str(model.task), str(manifest.task)
    if manifest.keypoints and found == wanted:
        found = f"poses of {model.model.model[-1].kpt_shape[0]} keypoints"
        wanted = f"poses of {len(manifest.keypoints.names)} keypoints"
    if found != wanted:
        raise UserError(
            f"evaluate.forget: the base weights {weights.name} are for {found}, and the images for {wanted}: "
            "what they knew cannot be measured there; set evaluate.forget=null"
        )
    return read_class_names(model)


def _iterate_truths(data: OldData, shared: SharedClasses) -> Iterator[GroundTruth]:
    from pipeline.evaluate.predictions import read_objects

    for image in data.images:
        yield select_shared_objects(read_objects(data.folder, image, data.manifest), shared.of_data)


def _detect(
    config: Config, weights: Path, data: OldData, truths: list[GroundTruth], places: IntArray
) -> Iterator[Detections]:
    """Yield the detections of shared classes in each image, with their similarity to its objects."""
    from pipeline.yolo.inference.predict import predict_detections

    images, task = data.images, data.manifest.task
    files = [data.folder / "images" / image.file for image in images]
    settings = _choose_settings(config)
    settings["classes"] = np.flatnonzero(places != ABSENT).tolist()  # others would use up max_det
    found = predict_detections(weights, files, task, **settings)
    for image, truth, each in zip(images, truths, found, strict=True):
        kept = select_shared_detections(each, places)
        yield attach_similarity(truth, kept, task, size=(image.width, image.height))


def _guess(config: Config, weights: Path, files: Sequence[Path], places: IntArray) -> IntArray:
    """Return the most probable shared class (images,) of each image."""
    from pipeline.yolo.inference.predict import predict_probabilities

    found = predict_probabilities(weights, files, **_choose_settings(config))
    return np.array([select_shared_guess(row, places) for row in found], np.int64)


def _choose_settings(config: Config) -> InferenceSettings:
    from pipeline.evaluate.predict_splits import build_inference_settings

    return build_inference_settings(config, require_number(config.finetune.imgsz, "finetune.imgsz"))

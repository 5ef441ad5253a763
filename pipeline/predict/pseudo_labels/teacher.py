"""Find the model that makes pseudo-labels, and require that val and test are held out from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.history import WORKSPACE
from pipeline.dataset.image_columns import read_image_columns
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest, require_labeled_objects
from pipeline.dataset.pseudo_labels import (
    has_pseudo_labels,
    read_pseudo_label_record,
    shorten_image_hash,
)
from pipeline.evaluate.predict_splits import predict_images
from pipeline.evaluate.predictions import TrainedModel
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.inference_settings import choose_measuring_settings, find_imgsz
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import is_single_class
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.iterations.weights_file import hash_path
from pipeline.predict.pseudo_labels.measure_val import TeacherThresholds, measure_teacher
from pipeline.predict.pseudo_labels.thresholds import PseudoLabelRule
from pipeline.tracking.store.run_tags import DATA_TAG
from pipeline.tracking.store.tracked_runs import RunReader
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.loaded_model import InferenceSettings


@dataclass(frozen=True)
class PseudoLabelTeacher:
    """A model that makes pseudo-labels, and the data that it was trained on.

    Args:
        iteration: What it is.
        weights: Its file.
        sha256: Of the file.
        manifest: The prepared dataset that it was trained on: the one of the workspace.
        settings: How it predicts: as it is measured.
        groups: The group of each image, by its file: near copies, and images of one group of data.group_by.
    """

    iteration: Iteration
    weights: Path
    sha256: str
    manifest: Manifest
    settings: InferenceSettings
    groups: Mapping[str, str] = field(default_factory=dict)

    def measure(self, rule: PseudoLabelRule) -> TeacherThresholds:
        """Choose its thresholds on val, and measure there what its labels are worth."""
        model = TrainedModel(self.weights, single_class=False, settings=self.settings)
        images, most = self.manifest.in_split("val"), self.settings["max_det"]
        val = predict_images(images, self.manifest, model)
        groups = [self.groups.get(item.file, item.file) for item in images]
        return measure_teacher(val, self.manifest.names, rule, groups=groups, max_det=most)

    def list_learned_images(self) -> tuple[str, ...]:
        """List the images that it was trained on, and that its own teachers were, as the record has them."""
        learned = {shorten_image_hash(item.sha256) for item in self.manifest.in_split("train")}
        if self.manifest.pseudo_items and has_pseudo_labels(PREPARED_FOLDER):
            learned |= set(read_pseudo_label_record(PREPARED_FOLDER).trained_on)
        return tuple(sorted(learned))

    def describe(self) -> dict[str, Any]:
        """Return what the record says of it."""
        found = self.iteration
        return {
            "name": found.label,
            "run_id": found.run_id,
            "weights": self.sha256,
            "data": self.manifest.digest,
        }


def find_teacher(reference: str, config: Config, device: Mapping[str, Any]) -> PseudoLabelTeacher:
    """Find the model, and require that it was trained on the present data/prepared.

    Args:
        reference: As in `resolve_reference`.
        config: The configuration.
        device: `device` and `threads` where the user sets them.

    Raises:
        UserError: There is no such model, it was trained on other images, or nothing says on which.
    """
    manifest = read_manifest(PREPARED_FOLDER)
    require_labeled_objects(manifest, ["val"])
    where = config.tracking
    target = TrackingTarget(where.uri, where.experiment, where.timeout)
    iteration = resolve_reference(reference, target, registry_name=config.registry.name)
    known = require_own_data(iteration, manifest, RunReader(target))
    weights = fetch_weights(iteration, target)
    if is_single_class(iteration, weights, "predict"):
        raise UserError(
            f"{iteration.label} was trained with finetune.single_cls and knows no classes: choose another"
        )
    imgsz = find_imgsz(iteration, weights, stage="predict")
    settings = choose_measuring_settings(config, imgsz, manifest.task, device)
    groups = {file: columns.group for file, columns in read_image_columns(manifest).items()}
    sha256 = iteration.sha256 or hash_path(weights)
    return PseudoLabelTeacher(iteration, weights, sha256, known, settings, groups)


def require_own_data(iteration: Iteration, manifest: Manifest, reader: RunReader) -> Manifest:
    """Return the dataset that a model was trained on: the present one, with its pseudo-labels or without.

    Args:
        iteration: The model.
        manifest: Of data/prepared.
        reader: Says what the weights of the workspace were trained on.

    Raises:
        UserError: It is another one, or not known: its val may be among the images that the model learned.
    """
    data = iteration.data
    if (
        iteration.reference == WORKSPACE
    ):  # its data may be what is there now: its run says what it learnt from
        run = reader.get_run(iteration.run_id) if iteration.run_id else None
        data = run.tags.get(DATA_TAG) if run else None
    if data is None:
        raise UserError(
            f"nothing says which images {iteration.label} was trained on, and val may be among them: name a "
            "run that MLflow or git knows (`finetrack runs`)"
        )
    for known in _list_versions(manifest):
        if known.digest == data:
            return known
    raise UserError(
        f"{iteration.label} was trained on other data than the present {PREPARED_FOLDER}, whose val or test "
        "may be among its train images: name a model of the present data, or bring its data back "
        f"(`finetrack restore {iteration.reference} FOLDER`) and label there"
    )


def _list_versions(manifest: Manifest) -> Iterable[Manifest]:
    return (manifest, manifest.select_labelled())

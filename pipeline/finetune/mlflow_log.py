"""Log data, curves, weights and model of a training to MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.config.schema import Config
from pipeline.core.paths import (
    AUGMENTED_FOLDER,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    PREPARED_FOLDER,
    SPLITS,
    TRAINING_METRICS_FILE,
    TRAINING_PLOTS_FOLDER,
)
from pipeline.core.stages import StageGuard
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.pseudo_labels import PSEUDO_LABELS_FILE
from pipeline.finetune.automatic.resolve_values import AutomaticValue
from pipeline.runtime.run_state import STATE_FOLDER, collect_run_state
from pipeline.tracking.session import RunSession

PSEUDO_TAG: Final = "finetrack.data.pseudo"
COPIES_TAG: Final = "finetrack.data.augmented"
"""How many train images have labels that a model made; absent where none has."""


def log_parameters(session: RunSession, config: Config, guard: StageGuard) -> None:
    """Log the parameters that the training uses, and the state of its code.

    Those of `evaluate` are logged with the results that they gave: a parameter in MLflow never changes.

    Args:
        session: Of the run.
        config: The whole configuration.
        guard: Has the contents of params.yaml that were read; the file may have changed since.
    """
    session.log_params(config.model_dump(mode="json", exclude={"evaluate"}))
    if guard.params:
        session.log_text(guard.params.decode(), PARAMS_FILE.name)
    else:
        session.log_artifact(PARAMS_FILE)
    with collect_run_state("finetune", guard.params) as state:
        session.log_artifact(state, folder=STATE_FOLDER)


def log_automatic_values(session: RunSession, values: Sequence[AutomaticValue]) -> None:
    """Log the values that were auto in the configuration, with the reasons, as effective.automatic.KEY."""
    if values:
        session.log_params({"effective": {"automatic": {value.key: str(value) for value in values}}})


def log_data(session: RunSession, prepared: Manifest, copies: AugmentationRecords, *, name: str) -> None:
    """Log the dataset as the run's input: counts per split and class, samples, and the dataset report.

    Args:
        session: Of the run.
        prepared: The images for training and validation.
        copies: The augmented train images.
        name: The name of the dataset.
    """
    splits = {
        split: _describe_split(len(prepared.in_split(split)), prepared.count_objects(split))
        for split in SPLITS
    }
    if pseudo := prepared.pseudo_items:
        objects = Manifest(prepared.task, prepared.names, pseudo).count_objects("train")
        splits["pseudo-labelled"] = _describe_split(len(pseudo), objects)
        train = len(prepared.in_split("train"))
        session.set_tags({PSEUDO_TAG: f"{len(pseudo)} of {train} train images"})
        session.log_artifact(PREPARED_FOLDER / PSEUDO_LABELS_FILE, folder=PREPARED_FOLDER.name)
    # MLflow keeps the counts that the first run logged of a dataset, and runs differ in their copies.
    drawn = sum(copies.count_objects().values())
    session.set_tags({COPIES_TAG: f"{copies.count} augmented copies with {drawn} objects"})
    source = PREPARED_FOLDER.as_posix()
    session.log_dataset(name, prepared.digest, source=source, classes=prepared.names, splits=splits)
    for place in (PREPARED_FOLDER, AUGMENTED_FOLDER):
        if (place / "samples").exists():  # DVC does not restore an empty folder
            session.log_artifact(place / "samples", folder=place.name)
    session.log_artifact(PREPARED_FOLDER / "report.html", folder=PREPARED_FOLDER.name)


def log_epoch(session: RunSession, row: Mapping[str, float]) -> None:
    """Log the metrics of an epoch."""
    session.log_metrics({name: row[name] for name in row if name != "epoch"}, step=int(row["epoch"]))


def log_results(
    session: RunSession, prepared: Manifest, best: Mapping[str, float], epoch: int | None, *, imgsz: int
) -> None:
    """Log curves, weights, and the model with the val metrics of best.pt.

    Args:
        session: Of the run.
        prepared: Its first val image is the model's input example; its task decides the model's output.
        best: The val metrics of best.pt.
        epoch: The epoch of best.pt, from 1; None where it is the mean of several.
        imgsz: The image size of the training, in pixels, with which the model predicts.
    """
    metrics = {f"best/{name}": value for name, value in best.items()}
    session.log_metrics(metrics if epoch is None else metrics | {"best/epoch": epoch})
    session.log_artifact(TRAINING_PLOTS_FOLDER)
    session.log_artifact(TRAINING_METRICS_FILE, folder=f"{STATE_FOLDER}/finetune/reports")
    session.log_artifact(FINETUNED_FOLDER)
    example = PREPARED_FOLDER / "images" / prepared.in_split("val")[0].file
    weights = FINETUNED_FOLDER / "best.pt"
    session.log_model(weights, example=example, metrics=metrics, task=prepared.task, imgsz=imgsz)


def _describe_split(images: int, objects: Mapping[str, int]) -> dict[str, object]:
    return {"images": images, "objects": dict(objects)}

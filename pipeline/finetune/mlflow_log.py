"""What MLflow is told of a training, beside its parameters: data, curves, weights, the model."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.paths import AUGMENTED, FINETUNED, PREPARED, SPLITS, TRAINING_PLOTS
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.session import RunSession


def note_data(session: RunSession, prepared: Manifest, copies: AugmentationRecords, *, name: str) -> None:
    """Log the dataset as the run's input, with counts per split and class, samples and the report's page.

    Args:
        session: The run's.
        prepared: What is trained and validated on.
        copies: What is trained on beside it.
        name: What a person calls the data.
    """
    splits = {split: _facts(len(prepared.of(split)), prepared.counts(split)) for split in SPLITS}
    drawn = {prepared.names[cls]: count for cls, count in sorted(copies.counts().items())}
    splits["augmented"] = _facts(copies.count, drawn)
    source = PREPARED.as_posix()
    session.dataset(name, prepared.digest, source=source, classes=prepared.names, splits=splits)
    for place in (PREPARED, AUGMENTED):
        session.artifact(place / "samples", folder=place.name)
    session.artifact(PREPARED / "report.html", folder=PREPARED.name)


def note_epoch(session: RunSession, row: Mapping[str, float]) -> None:
    """Log an epoch's row as points of curves."""
    session.metrics({name: row[name] for name in row if name != "epoch"}, step=int(row["epoch"]))


def note_results(session: RunSession, prepared: Manifest, best: Mapping[str, float], epoch: int) -> None:
    """Log curves, weights and, with the figures of the best epoch, the model.

    Args:
        session: The run's.
        prepared: Its first val image becomes the model's example; its task says what the model answers.
        best: The val figures of the best epoch.
        epoch: The best one, from 1.
    """
    figures = {f"best/{name}": value for name, value in best.items()}
    session.metrics(figures | {"best/epoch": epoch})
    session.artifact(TRAINING_PLOTS)
    session.artifact(FINETUNED)
    example = PREPARED / "images" / prepared.of("val")[0].file
    session.model(FINETUNED / "best.pt", example=example, metrics=figures, task=prepared.task)


def _facts(images: int, objects: Mapping[str, int]) -> dict[str, object]:
    return {"images": images, "objects": dict(objects)}

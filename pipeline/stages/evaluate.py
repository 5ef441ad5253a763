"""evaluate: fine-tuned weights + test images -> metrics with intervals, in the same MLflow run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.config import Config
from pipeline.core import labels, layout
from pipeline.core.evaluation import Evaluation, Split, evaluate, figures
from pipeline.core.manifest import Item, Manifest
from pipeline.core.matching import Objects
from pipeline.edges import dataset, evaluated, files, tracking
from pipeline.edges.files import Refused, folder_in_one_piece
from pipeline.edges.yolo.complaints import one_device
from pipeline.edges.yolo.predict import predict

WEIGHTS: Final = layout.FINETUNED / "best.pt"


def run(config: Config) -> None:
    """Measure models/finetuned on the test split, and add the figures to its run."""
    manifest = dataset.read_manifest(layout.PREPARED)
    trained = _read_trained()
    how = config.evaluate.model_dump_json()  # a tag: unlike a parameter it may change when evaluated anew
    target = tracking.Target(config.tracking.uri, config.tracking.experiment, config.tracking.timeout)
    with tracking.attach(target, key=trained["key"], run_id=trained["run_id"]) as session:
        _refuse_misfits(trained, manifest)
        evaluation = measure(config, manifest, WEIGHTS, merged=_merged(trained))
        metrics = figures(evaluation)
        images = [layout.PREPARED / "images" / item.file for item in manifest.of("test")]
        with folder_in_one_piece(layout.EVALUATION) as folder:
            evaluated.write(folder, evaluation, images, worst=config.evaluate.worst)
        files.write(layout.TEST_METRICS, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
        session.metrics(_flat(metrics))
        session.tags({"finetrack.evaluate": how, "finetrack.threshold.from": evaluation.chosen_on})
        session.artifact(layout.EVALUATION)
        session.artifact(layout.TEST_METRICS, folder="evaluation")
    print(_summary(metrics["test"]))


def measure(config: Config, manifest: Manifest, weights: Path, *, merged: str | None = None) -> Evaluation:
    """Predict on val and test with one load of the weights, and measure on test.

    Args:
        config: `evaluate`, `finetune.imgsz`, `finetune.device` and the seed are used.
        manifest: Of data/prepared.
        weights: Any Ultralytics checkpoint of the manifest's classes, or of them merged into one.
        merged: The one class that stands for all (finetune.single_cls); None where they are told apart.
    """
    val, test = manifest.of("val"), manifest.of("test")
    how = config.evaluate
    found = list(
        predict(
            weights,
            [layout.PREPARED / "images" / item.file for item in (*val, *test)],
            imgsz=config.finetune.imgsz,
            conf=how.conf,
            iou=how.iou,
            max_det=how.max_det,
            batch=how.batch,
            device=_device(config.finetune.device),
        )
    )
    truths = [_truth(item, merged=merged is not None) for item in (*val, *test)]
    splits = Split(truths[len(val) :], found[len(val) :]), Split(truths[: len(val)], found[: len(val)])
    names = (merged,) if merged else manifest.names
    return evaluate(*splits, names, resamples=how.bootstrap, seed=config.seed)


def _device(wanted: str | int | list[int] | None) -> str | int | list[int] | None:
    """Return the training's device, or None where it is absent: nobody shall train anew to measure."""
    try:
        one_device(wanted)
    except Refused:
        print(f"evaluate: finetune.device={wanted} is not on this machine: measured on what there is")
        return None
    return wanted


def _truth(item: Item, *, merged: bool) -> Objects:
    known = labels.parse((layout.PREPARED / "labels" / item.label).read_text(encoding="utf-8"))
    classes = np.zeros_like(known.classes) if merged else known.classes
    return Objects(labels.to_xyxy(known.boxes, item.width, item.height), classes)


def _read_trained() -> dict[str, Any]:
    """Read what finetune said about its weights."""
    try:
        trained: dict[str, Any] = json.loads((layout.FINETUNED / "run.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise Refused(f"{layout.FINETUNED} holds no fine-tuned weights: run finetune first") from None
    return trained


def _merged(trained: Mapping[str, Any]) -> str | None:
    return str(trained["names"][0]) if trained.get("single_cls") else None


def _refuse_misfits(trained: Mapping[str, Any], manifest: Manifest) -> None:
    """Refuse weights that changed or are for other classes, and a test split with nothing to find."""
    if not WEIGHTS.is_file() or files.sha256(WEIGHTS) != trained["sha256"]["best"]:
        raise Refused(f"{WEIGHTS} is not what finetune wrote: run finetune again (dvc repro -f finetune)")
    names = trained["names"]
    if not _merged(trained) and tuple(names) != manifest.names:
        raise Refused(
            f"{layout.FINETUNED} was trained for the classes {', '.join(names)}, "
            f"but {layout.PREPARED} has {', '.join(manifest.names)}: run finetune again"
        )
    if not any(item.classes for item in manifest.of("test")):
        raise Refused(
            f"the test split of {layout.PREPARED} has no labelled object to measure on: "
            "add labelled images, or give the test split a share in data.split"
        )


def _flat(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Name the figures as the run shows them: test/mAP50-95, test/AP50-95/<class>."""
    per_class = {
        f"test/{figure}/{name}": value
        for name, row in metrics["per_class"].items()
        for figure, value in row.items()
    }
    return {f"test/{figure}": value for figure, value in metrics["test"].items()} | per_class


def _summary(test: Mapping[str, Any]) -> str:
    maps = ", ".join(
        f"{name} {test[name]:.3f} ({test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f})"
        for name in ("mAP50-95", "mAP50")
    )
    at = ", ".join(f"{name} {test[name]:.3f}" for name in ("precision", "recall", "F1"))
    of = f"{test['images']} test images with {test['objects']} objects"
    return f"evaluate: {maps} on {of}; at threshold {test['threshold']:.3f} {at}"

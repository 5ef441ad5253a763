"""evaluate: fine-tuned weights + test images -> metrics with intervals, in the same MLflow run.

PyTorch, Ultralytics and matplotlib take seconds to load, and are imported where they are used: what is amiss
with the data or the weights is said before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import EVALUATION, FINETUNED, PREPARED, TEST_METRICS
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.evaluate import label_error_report
from pipeline.evaluate.metrics import classification, detection
from pipeline.evaluate.metrics.classification import ClassificationResult, ClassScores
from pipeline.evaluate.metrics.detection import DetectionResult, MetricSettings, SplitPredictions
from pipeline.evaluate.metrics.label_errors import rank
from pipeline.runtime.gc_pause import without_collecting
from pipeline.storage import files
from pipeline.storage.files import folder_in_one_piece
from pipeline.tracking import runs
from pipeline.tracking.target import TrackingTarget

if TYPE_CHECKING:
    from pipeline.evaluate.predictions import TrainedModel

WEIGHTS: Final = FINETUNED / "best.pt"


class SplitOutputs(NamedTuple):
    """What a model makes of val and test, image by image, in the order of the manifest; plain values."""

    val: SplitPredictions | ClassScores
    test: SplitPredictions | ClassScores


def run(config: Config) -> None:
    """Measure models/finetuned on the test split, and add the figures to its run."""
    manifest = read_manifest(PREPARED)
    trained = _read_trained()
    how = config.evaluate.model_dump_json()  # a tag: unlike a parameter it may change when evaluated anew
    target = TrackingTarget(config.tracking.uri, config.tracking.experiment, config.tracking.timeout)
    with runs.attach(target, key=trained["key"], run_id=trained["run_id"]) as session:
        _refuse_misfits(trained, manifest)
        merged = _merged(trained)
        looked = look(config, manifest, WEIGHTS, merged=merged is not None)
        measured = measure(config, manifest, looked, merged=merged)
        metrics = figures(measured)
        images = [PREPARED / "images" / item.file for item in manifest.of("test")]
        with folder_in_one_piece(EVALUATION) as folder:
            _write(folder, measured, images, worst=config.evaluate.worst)
            _suspect(folder, config, manifest, looked, merged=merged)
        files.write(TEST_METRICS, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
        session.metrics(_flat(metrics))
        chosen_on = metrics["test"].get("threshold_from")
        session.tags({"finetrack.evaluate": how, "finetrack.threshold.from": chosen_on})
        session.artifact(EVALUATION)
        session.artifact(TEST_METRICS, folder="evaluation")
    print(f"evaluate: {_summary(metrics['test'])}")


def look(config: Config, manifest: Manifest, weights: Path, *, merged: bool = False) -> SplitOutputs:
    """Predict on val and test with one load of the weights.

    Args:
        config: `evaluate`, `finetune.imgsz` and `finetune.device` are used.
        manifest: Of data/prepared.
        weights: Any Ultralytics checkpoint of the manifest's task and classes, or of them merged into one.
        merged: The checkpoint knows one class that stands for all (finetune.single_cls).
    """
    val, test = manifest.of("val"), manifest.of("test")
    both = _seen((*val, *test), manifest, _model(config, weights, merged))
    return SplitOutputs(both.part(slice(len(val))), both.part(slice(len(val), None)))


def _seen(
    items: Sequence[ImageRecord], manifest: Manifest, model: TrainedModel
) -> SplitPredictions | ClassScores:
    from pipeline.evaluate import predictions

    return (
        predictions.classify(items, model)
        if manifest.task == "classify"
        else predictions.detect(items, manifest, model)
    )


def _model(config: Config, weights: Path, merged: bool) -> TrainedModel:
    with without_collecting():
        from pipeline.evaluate.predictions import TrainedModel
        from pipeline.yolo.inference.predict import InferenceSettings

    wanted = config.evaluate
    how = InferenceSettings(
        imgsz=config.finetune.imgsz,
        conf=wanted.conf,
        iou=wanted.iou,
        max_det=wanted.max_det,
        batch=wanted.batch,
        device=_device(config.finetune.device),
    )
    return TrainedModel(weights, merged, how)


def measure(
    config: Config, manifest: Manifest, looked: SplitOutputs, *, merged: str | None = None
) -> DetectionResult | ClassificationResult:
    """Measure on test, at a threshold chosen on val where the task has one.

    Args:
        config: `evaluate.bootstrap` and the seed are used.
        manifest: Of data/prepared.
        looked: What the model makes of val and test.
        merged: The one class that stands for all; None where they are told apart.
    """
    names = (merged,) if merged else manifest.names
    resamples, seed = config.evaluate.bootstrap, config.seed
    if isinstance(looked.test, ClassScores):
        return classification.classify(looked.test, names, resamples=resamples, seed=seed)
    assert isinstance(looked.val, SplitPredictions)
    return detection.evaluate(looked.test, looked.val, MetricSettings(manifest.task, names, resamples, seed))


def _suspect(
    folder: Path, config: Config, manifest: Manifest, looked: SplitOutputs, *, merged: str | None
) -> None:
    """Name the labels of all splits that the model contradicts; train is predicted on for this alone."""
    if not config.evaluate.suspects:
        return
    train = _seen(manifest.of("train"), manifest, _model(config, WEIGHTS, merged is not None))
    parts = {"train": train, "val": looked.val, "test": looked.test}
    judged = label_error_report.gather(manifest, parts, (merged,) if merged else manifest.names)
    label_error_report.write(folder, rank(judged.truths, judged.found, most=config.evaluate.suspects), judged)


def _write(
    folder: Path, measured: DetectionResult | ClassificationResult, images: Sequence[Path], *, worst: int
) -> None:
    from pipeline.evaluate import report

    report.write(folder, measured, images, worst=worst)


def figures(measured: DetectionResult | ClassificationResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    if isinstance(measured, ClassificationResult):
        return classification.figures(measured)
    return detection.figures(measured)


def _device(wanted: str | int | list[int] | None) -> str | int | list[int] | None:
    """Return the training's device, or None where it is absent: nobody shall train anew to measure."""
    from pipeline.yolo.errors import one_device

    try:
        one_device(wanted)
    except UserError:
        print(f"evaluate: finetune.device={wanted} is not on this machine: measured on what there is")
        return None
    return wanted


def _read_trained() -> dict[str, Any]:
    """Read what finetune said about its weights."""
    try:
        trained: dict[str, Any] = json.loads((FINETUNED / "run.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise UserError(f"{FINETUNED} holds no fine-tuned weights: run finetune first") from None
    return trained


def _merged(trained: Mapping[str, Any]) -> str | None:
    return str(trained["names"][0]) if trained.get("single_cls") else None


def _refuse_misfits(trained: Mapping[str, Any], manifest: Manifest) -> None:
    """Refuse weights that changed or are for something else, and a test split with nothing to find."""
    if not WEIGHTS.is_file() or files.sha256(WEIGHTS) != trained["sha256"]["best"]:
        raise UserError(f"{WEIGHTS} is not what finetune wrote: run finetune again (dvc repro -f finetune)")
    if (task := trained.get("task", manifest.task)) != manifest.task:
        raise UserError(
            f"{FINETUNED} was trained for {task}, but {PREPARED} is for {manifest.task}: run finetune again"
        )
    names = trained["names"]
    if not _merged(trained) and tuple(names) != manifest.names:
        raise UserError(
            f"{FINETUNED} was trained for the classes {', '.join(names)}, "
            f"but {PREPARED} has {', '.join(manifest.names)}: run finetune again"
        )
    if not any(item.classes for item in manifest.of("test")):
        raise UserError(
            f"the test split of {PREPARED} has no labelled object to measure on: "
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
    """Say in a line what came out: the figures with an interval first."""
    shares = [name for name in test if f"{name}_low" in test]
    lows = (
        f"{name} {test[name]:.3f} ({test[f'{name}_low']:.3f} to {test[f'{name}_high']:.3f})"
        for name in shares
    )
    counted = f" with {test['objects']} objects" if "objects" in test else ""
    at = f" at threshold {test['threshold']:.3f}" if "threshold" in test else ""
    others = [name for name in test if name.endswith(("precision", "recall", "F1"))]
    rest = ", ".join(f"{name} {test[name]:.3f}" for name in others)
    return f"{', '.join(lows)} on {test['images']} test images{counted};{at} {rest}"

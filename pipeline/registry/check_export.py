"""Export a model and judge the exported file as the gate judges the model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipeline.comparison.compare_models import compare_predictions
from pipeline.config.schema import Config
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.export.export_model import ExportSettings, export_variants
from pipeline.export.model_source import ExportSource, open_source
from pipeline.export.predict_split import MeasuredModel, predict_split
from pipeline.export.report import build_addition
from pipeline.export.variants import plan_variants
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.iteration import Iteration
from pipeline.registry.gate import MIN_RESAMPLES, GateCheck, GateRules, judge_comparison
from pipeline.tracking.store.run_additions import add_to_run
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.loaded_model import InferenceSettings


class ExportRequirements(NamedTuple):
    """What an exported file is judged by.

    Attributes:
        format: Such as onnx.
        rules: Of the gate.
        champion: The predictions of the champion; None if there is none yet.
    """

    format: str
    rules: GateRules
    champion: StoredPredictions | None


def check_exported_file(
    challenger: Iteration,
    wanted: ExportRequirements,
    config: Config,
    *,
    target: TrackingTarget,
    folder: Path,
) -> GateCheck:
    """Export a model, and check that the exported file passes the gate as well as its checkpoint.

    Its main metric may be below that of the checkpoint by export.tolerance, and it is compared with the
    champion like the checkpoint. The file and its figures are logged to the run.

    Args:
        challenger: The model.
        wanted: See `ExportRequirements`.
        config: `evaluate`, `export` and the seed are used.
        target: MLflow's store.
        folder: An empty folder for the exported file.

    Raises:
        UserError: The format is unknown, its packages are missing, or data/prepared does not fit the model.
    """
    [variant] = plan_variants(wanted.format, "fp32", "outside")
    manifest = read_manifest(PREPARED_FOLDER)
    source = open_source(challenger, fetch_weights(challenger, target), manifest)
    [result] = export_variants(
        source, [variant], manifest, config=config, settings=ExportSettings(folder / "files")
    )
    if challenger.run_id:
        add_to_run(target, challenger.run_id, build_addition(result))
    if result.refusal or result.file is None:
        return GateCheck("export", False, f"{variant.name}: {result.refusal}")
    if wanted.champion is None:
        return GateCheck("export", True, f"{variant.name} is as good as its checkpoint")
    model = MeasuredModel(
        result.file, str(result.facts["sha256"]), source.names, build_inference_settings(config, source)
    )
    found = predict_split(model, manifest, "test", folder / "predictions")
    return _judge_beside_champion(variant.name, wanted, found, config)


def build_inference_settings(config: Config, source: ExportSource) -> InferenceSettings:
    """Return how a model predicts on test: as `evaluate` does, on the CPU or the device of the training."""
    wanted = config.evaluate
    return InferenceSettings(
        imgsz=source.imgsz,
        conf=wanted.conf,
        iou=wanted.iou,
        max_det=wanted.max_det,
        tile=wanted.tile,
        overlap=wanted.overlap,
        batch=wanted.batch,
        device=config.finetune.device,
    )


def _judge_beside_champion(
    name: str, wanted: ExportRequirements, found: StoredPredictions, config: Config
) -> GateCheck:
    assert wanted.champion is not None
    comparison = compare_predictions(
        wanted.champion,
        found,
        labels=("champion", name),
        resamples=max(config.evaluate.bootstrap, MIN_RESAMPLES),
        seed=config.seed,
    )
    checks = judge_comparison(comparison, wanted.rules)
    failed = [check for check in checks if not check.passed]
    sentences = "; ".join(check.sentence for check in (failed or checks[:1]))
    return GateCheck("export", not failed, f"{name}: {sentences}")

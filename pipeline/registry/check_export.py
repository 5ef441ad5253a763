"""Export a model and judge the exported file as the gate judges the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline.comparison.compare_models import choose_resamples, compare_predictions
from pipeline.config.schema import Config
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.export.export_model import ExportResult, ExportSettings, export_variants
from pipeline.export.measurement import describe_difference
from pipeline.export.model_source import ExportSource, open_source
from pipeline.export.report import build_addition
from pipeline.export.variants import plan_variants
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.inference_settings import choose_measuring_settings
from pipeline.iterations.iteration import Iteration, get_evaluation_settings
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.registry.gate import GateCheck, GateRules, judge_comparison
from pipeline.tracking.store.run_additions import add_to_run
from pipeline.tracking.target import TrackingTarget


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
    data = PreparedData(read_manifest(PREPARED_FOLDER))
    source = open_source(challenger, fetch_weights(challenger, target), data)
    [result] = export_variants(
        source, [variant], data, config=config, settings=ExportSettings(folder / "files")
    )
    if challenger.run_id:
        add_to_run(target, challenger.run_id, build_addition(result))
    if result.refusal or result.file is None:
        return GateCheck("export", False, f"{variant.name}: {result.refusal}")
    if wanted.champion is None:
        assert result.measurement is not None  # a file that cannot be measured here is an error above
        shown = describe_difference(result.measurement, tolerance=config.export.tolerance)
        return GateCheck("export", True, f"{variant.name}: {shown}")
    found = _predict(source, result, data, config=config, folder=folder / "predictions")
    return _judge_beside_champion(variant.name, wanted, found, config)


def _predict(
    source: ExportSource, result: ExportResult, data: PreparedData, *, config: Config, folder: Path
) -> StoredPredictions:
    """Predict on test with an exported file, as the checkpoint was evaluated."""
    assert result.file is not None
    settings = choose_measuring_settings(
        config, source.imgsz, data.manifest.task, get_evaluation_settings(source.iteration, config)
    )
    iteration = replace(source.iteration, sha256=str(result.facts["sha256"]))
    with SplitPredictor(iteration, result.file, data, settings=settings, stage="promote") as predictor:
        return predictor.predict_split("test", folder)


def _judge_beside_champion(
    name: str, wanted: ExportRequirements, found: StoredPredictions, config: Config
) -> GateCheck:
    assert wanted.champion is not None
    comparison = compare_predictions(
        wanted.champion,
        found,
        labels=("champion", name),
        resamples=choose_resamples(config.evaluate),
        seed=config.seed,
    )
    checks = judge_comparison(comparison, wanted.rules, found.names)
    failed = [check for check in checks if not check.passed]
    sentences = "; ".join(check.sentence for check in (failed or checks[:1]))
    return GateCheck("export", not failed, f"{name}: {sentences}")

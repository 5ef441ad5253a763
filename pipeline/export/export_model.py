"""Export a model in several variants, measure each exported file, and keep what is good enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.comparison.compare_models import choose_resamples, compare_predictions
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.manifest import ImageRecord
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.export.agreement import measure_agreement
from pipeline.export.export_facts import build_facts, measure_megabytes
from pipeline.export.export_files import open_export_folder, require_free_target, write_export
from pipeline.export.measurement import ExportMeasurement, find_refusal
from pipeline.export.model_source import STAGE, ExportSource
from pipeline.export.variants import ExportVariant
from pipeline.iterations.inference_settings import choose_measuring_settings
from pipeline.iterations.iteration import get_evaluation_settings
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.iterations.weights_file import hash_path
from pipeline.yolo.errors import check_device
from pipeline.yolo.exporting.compare_latency import compare_latency
from pipeline.yolo.exporting.export_weights import ExportRequest, export_weights
from pipeline.yolo.exporting.formats import FORMATS
from pipeline.yolo.inference.loaded_model import InferenceSettings


class ExportSettings(NamedTuple):
    """How variants are exported and measured.

    Attributes:
        output: The folder that receives the files.
        device: cpu, or the number of a GPU; None for the CPU, or the GPU of a format that needs one.
        unmeasured: Whether a file that cannot run on this machine is kept without a measurement.
    """

    output: Path
    device: str | None = None
    unmeasured: bool = False


class ExportResult(NamedTuple):
    """One exported file.

    Attributes:
        variant: What was exported.
        measurement: None if it could not be measured on this machine.
        megabytes: Its size.
        refusal: Why it is not kept; None if it is.
        file: Where it is; None if it is not kept.
        facts: What its JSON file says, and MLflow.
    """

    variant: ExportVariant
    measurement: ExportMeasurement | None
    megabytes: float
    refusal: str | None
    file: Path | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Work:
    """What is the same for all variants."""

    source: ExportSource
    data: PreparedData
    config: Config
    settings: ExportSettings


def export_variants(
    source: ExportSource,
    variants: Sequence[ExportVariant],
    data: PreparedData,
    *,
    config: Config,
    settings: ExportSettings,
) -> Iterator[ExportResult]:
    """Export each variant, measure it beside the checkpoint on test, and keep it if it is good enough.

    Nothing is written into the output but whole files that were kept, each with a JSON file beside it.

    Args:
        source: The checkpoint.
        variants: What to export.
        data: The prepared data, which fits the checkpoint.
        config: `export` and the seed are used; `evaluate` where the checkpoint's own settings are unknown.
        settings: See `ExportSettings`.

    Raises:
        UserError: A variant cannot be exported, or cannot be measured on this machine, or its file would
            replace one of other weights.
    """
    work = _Work(source, data, config, settings)
    devices = [_choose_device(variant, settings) for variant in variants]
    for variant in variants:
        require_free_target(settings.output / variant.name_file(source.stem), source.sha256)
    with open_export_folder() as folder:
        references: dict[str, StoredPredictions] = {}
        for variant, device in zip(variants, devices, strict=True):
            if device not in references:
                place = folder / f"checkpoint-{device}"
                references[device] = _predict(work, source.weights, source.sha256, device, place)
            yield _export_variant(work, variant, references[device], device)


def _export_variant(
    work: _Work, variant: ExportVariant, reference: StoredPredictions, device: str
) -> ExportResult:
    with open_export_folder() as folder:
        exported = export_weights(
            work.source.weights, folder, _build_request(work, variant, device), sha256=work.source.sha256
        )
        sha256, megabytes = hash_path(exported), measure_megabytes(exported)
        try:
            measured = _measure(work, exported, sha256, reference, device)
        except UserError as error:
            if not FORMATS[variant.format].machine:
                raise
            if not work.settings.unmeasured:
                raise UserError(
                    f"{variant.name} cannot be measured here, since it runs on "
                    f"{FORMATS[variant.format].machine} ({error}): "
                    "add --unmeasured to keep it without a measurement"
                ) from error
            measured = None
        tolerance = work.config.export.tolerance
        refusal = find_refusal(measured, tolerance=tolerance) if measured else None
        size = {"sha256": sha256, "megabytes": megabytes}
        facts = build_facts(work.source, variant, work.data.manifest, measured, **size)
        facts |= {"accepted": refusal is None, "refusal": refusal, "tolerance": tolerance}
        target = work.settings.output / variant.name_file(work.source.stem)
        file = None if refusal else write_export(exported, target, facts)
    return ExportResult(variant, measured, megabytes, refusal, file, facts)


def _build_request(work: _Work, variant: ExportVariant, device: str) -> ExportRequest:
    settings = _choose_settings(work, device)
    return ExportRequest(
        **variant._asdict(),
        imgsz=settings["imgsz"],
        conf=settings["conf"],
        iou=settings["iou"],
        max_det=settings["max_det"],
        device=device,
        calibration=_choose_calibration_images(work) if variant.precision == "int8" else (),
    )


def _choose_calibration_images(work: _Work) -> list[Path]:
    """Return val images, evenly spaced in the order of the manifest."""
    val, most = work.data.manifest.in_split("val"), work.config.export.calibration
    places = dict.fromkeys(index * len(val) // most for index in range(most))
    return [_find_image(work, val[place]) for place in places if place < len(val)]


def _find_image(work: _Work, image: ImageRecord) -> Path:
    return work.data.root / PREPARED_FOLDER / "images" / image.file


def _measure(
    work: _Work, exported: Path, sha256: str, reference: StoredPredictions, device: str
) -> ExportMeasurement:
    source = work.source
    with open_export_folder() as folder:
        found = _predict(work, exported, sha256, device, folder)
        comparison = compare_predictions(
            reference,
            found,
            labels=(source.weights.name, exported.name),
            resamples=choose_resamples(work.config.evaluate),
            seed=work.config.seed,
        )
        agreement = measure_agreement(reference, found, threshold=source.threshold)
    images = [_find_image(work, image) for image in work.data.manifest.in_split("test")]
    settings = _choose_settings(work, device)
    task = work.data.manifest.task
    latency = compare_latency(source.weights, exported, images, task=task, settings=settings)
    return ExportMeasurement(comparison, agreement, latency)


def _predict(work: _Work, weights: Path, sha256: str, device: str, folder: Path) -> StoredPredictions:
    settings, iteration = _choose_settings(work, device), replace(work.source.iteration, sha256=sha256)
    with SplitPredictor(iteration, weights, work.data, settings=settings, stage=STAGE) as predictor:
        return predictor.predict_split("test", folder)


def _choose_settings(work: _Work, device: str) -> InferenceSettings:
    """Choose how both are measured: as the checkpoint was evaluated, on the device of the export."""
    wanted = {**get_evaluation_settings(work.source.iteration, work.config), "device": device}
    return choose_measuring_settings(work.config, work.source.imgsz, work.data.manifest.task, wanted)


def _choose_device(variant: ExportVariant, settings: ExportSettings) -> str:
    """Return the device that exports and measures: the checkpoint is measured on the same one.

    Raises:
        UserError: It is not on this machine, or the variant needs a GPU.
    """
    device = settings.device or ("0" if variant.format == "engine" else "cpu")
    if (variant.format, variant.precision, device) == ("torchscript", "fp16", "cpu"):
        raise UserError("--precision fp16 of torchscript needs a GPU: add --device 0, or use fp32")
    try:
        check_device(device)
    except UserError:
        raise UserError(f"{variant.name} needs the device {device}, which this machine has not") from None
    return device

"""What is recorded of an exported file: its origin, how to predict with it, its measurement."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.dataset.manifest import Manifest
from pipeline.export.measurement import ExportMeasurement, build_metrics
from pipeline.export.model_source import ExportSource
from pipeline.export.variants import ExportVariant
from pipeline.iterations.inference_settings import DEFAULT_CONF
from pipeline.iterations.weights_file import FROM_VAL


def build_facts(
    source: ExportSource,
    variant: ExportVariant,
    manifest: Manifest,
    measured: ExportMeasurement | None,
    **size: Any,
) -> dict[str, Any]:
    """Return the facts of an exported file, for JSON.

    Args:
        source: The checkpoint.
        variant: What was exported.
        manifest: The data that it was measured on.
        measured: None if it could not be measured.
        size: `sha256` and `megabytes` of the exported file.
    """
    settings = choose_settings(source, variant)
    facts: dict[str, Any] = {
        **variant._asdict(),
        **size,
        "run": source.iteration.run_id,
        "weights": source.sha256,
        "task": manifest.task,
        "names": list(source.names),
        "imgsz": source.imgsz,
        "predicts_with": settings,
        "threshold": settings.get("conf", DEFAULT_CONF),
        "threshold_from": FROM_VAL if "conf" in settings else "default",
        "data": manifest.digest,
        "test_images": len(manifest.in_split("test")),
        "ultralytics": version("ultralytics"),
    }
    if measured:
        facts["metrics"] = build_metrics(measured, megabytes=size["megabytes"])
        facts |= {"device": measured.latency.device, "threads": measured.latency.threads}
    return facts


def choose_settings(source: ExportSource, variant: ExportVariant) -> dict[str, float]:
    """Return how to predict with an exported file: as with its checkpoint, at the same size.

    The NMS-free head has other scores than the one for which the threshold was chosen on val.
    """
    chosen = {**source.iteration.predicts_with, "imgsz": source.imgsz}
    if variant.nms == "free":
        chosen.pop("conf", None)
    return chosen


def measure_megabytes(exported: Path) -> float:
    """Return the size of a file or folder in MB (1,000,000 bytes)."""
    return round(sum(file.stat().st_size for file in _iterate_files(exported)) / 1e6, 3)


def _iterate_files(exported: Path) -> Iterator[Path]:
    if exported.is_file():
        yield exported
        return
    yield from sorted(file for file in exported.rglob("*") if file.is_file())

"""Log an evaluation to MLflow: which one it is, its metrics, files, and the settings that it chose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipeline.config.automatic import require_number
from pipeline.config.schema import Config
from pipeline.core.paths import (
    EVALUATION_FOLDER,
    PREPARED_FOLDER,
    SPLITS,
    TEST_METRICS_FILE,
)
from pipeline.dataset.manifest import Manifest
from pipeline.evaluate.further_metric_names import LATENCY, LATENCY_PARTS, WORST_SLICE
from pipeline.evaluate.seen_images import SeenImages
from pipeline.runtime.code_state import build_code_tags, read_code_state
from pipeline.runtime.run_state import STATE_FOLDER, collect_run_state, describe_machine
from pipeline.storage.code_digests import compute_stage_digest
from pipeline.tracking.dataset_input import describe_dataset
from pipeline.tracking.runs import EvaluationIdentity
from pipeline.tracking.session import RunSession
from pipeline.tracking.store.run_tags import SEEN_TAG, TEST_DATA_TAG, WEIGHTS_TAG

LIBRARIES: Final = ("numpy", "torch", "ultralytics")
"""Libraries whose version decides the result of an evaluation."""


def identify_evaluation(
    config: Config, *, data: str, weights: str, further: Mapping[str, str | None]
) -> EvaluationIdentity:
    """Return what tells this evaluation of a training from another: its key, parameters and tags.

    Args:
        config: `evaluate`, `finetune.imgsz` and the seed decide the result.
        data: The digest of data/prepared.
        weights: SHA-256 of the weights.
        further: Digests of what else is read, by what it is; None: there is none.
    """
    params = {"evaluate": _dump_deciding(config), "seed": config.seed}
    code = {"evaluate": compute_stage_digest("evaluate"), **{name: version(name) for name in LIBRARIES}}
    imgsz = require_number(config.finetune.imgsz, "finetune.imgsz")
    parts = {**params, "imgsz": imgsz, "data": data, "weights": weights, "code": code, "further": further}
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    tags = {**_build_tags(config), TEST_DATA_TAG: data, WEIGHTS_TAG: weights}
    return EvaluationIdentity(hashlib.sha256(text.encode()).hexdigest(), params, tags)


def describe_test_data(manifest: Manifest, *, name: str) -> dict[str, Any]:
    """Describe the dataset of an evaluation for MLflow.

    Args:
        manifest: Of the dataset.
        name: Of the dataset, for people.
    """
    splits = {
        split: {"images": len(manifest.in_split(split)), "objects": manifest.count_objects(split)}
        for split in SPLITS
    }
    source = PREPARED_FOLDER.as_posix()
    facts = describe_dataset(name, manifest.digest, source=source, classes=manifest.names, splits=splits)
    return {**facts, "use": "evaluation"}


def log_test_data(session: RunSession, manifest: Manifest, seen: SeenImages) -> None:
    """Log which data was evaluated on, and how many of its test images were trained on, as tags."""
    told = f"{seen.number} of {len(manifest.in_split('test'))} test images" if seen.number else None
    session.set_tags({TEST_DATA_TAG: manifest.digest, SEEN_TAG: "unknown" if seen.number is None else told})


def _dump_deciding(config: Config) -> dict[str, Any]:
    """Return the part of conf/evaluate that decides the result."""
    return config.evaluate.model_dump(mode="json", exclude={"registers", "latency"})


def _build_tags(config: Config) -> dict[str, Any]:
    return {**config.tracking.tags, **build_code_tags(read_code_state(Path.cwd()))}


def log_latency(session: RunSession, latency: Mapping[str, Any] | None) -> None:
    """Log the time per image: as metrics in milliseconds, and with what it was measured as a file and tag.

    It is in no file that DVC tracks: each run of the same evaluation would have other results.

    Args:
        session: Of the evaluation's run.
        latency: The fields of `yolo.inference.latency.Latency`; None: it was not measured.
    """
    if latency is None:
        return
    session.log_metrics({f"{LATENCY}/{name}": latency[name] for name in LATENCY_PARTS})
    measured = {**latency, "machine": describe_machine()}
    session.set_tags({"finetrack.latency": json.dumps(measured, allow_nan=False)})
    session.log_text(json.dumps(measured, indent=1, allow_nan=False) + "\n", "evaluation/latency.json")


def log_evaluation(
    session: RunSession,
    config: Config,
    metrics: Mapping[str, Any],
    *,
    threads: float,
    further: Mapping[str, float],
) -> None:
    """Log metrics and files of an evaluation; the model predicts with its settings from now on.

    Args:
        session: Of the evaluation's run.
        config: `evaluate` and `finetune.imgsz` are logged.
        metrics: As in reports/metrics.json.
        threads: The average number of CPU threads that predicted.
        further: Metrics of test that metrics.json does not have.
    """
    chosen_on = metrics["test"].get("threshold_from")
    session.log_params(config.model_dump(mode="json", include={"evaluate"}))
    session.log_metrics(
        {f"test/{name}": value for name, value in further.items()} | _flatten_metrics(metrics)
    )
    session.set_tags(
        {
            "finetrack.evaluate": json.dumps(
                _dump_deciding(config), allow_nan=False
            ),  # unlike a parameter it may change
            "finetrack.threshold.from": chosen_on,
            "finetrack.worst_slice": metrics["test"].get(WORST_SLICE),
            "finetrack.evaluate.threads": f"{threads:.3g}",
        }
    )
    if chosen_on == "val":
        used = {
            "iou": config.evaluate.iou,
            "max_det": config.evaluate.max_det,
            "imgsz": require_number(config.finetune.imgsz, "finetune.imgsz"),
        }
        if config.evaluate.tile:
            used |= {"tile": config.evaluate.tile, "overlap": config.evaluate.overlap}
        session.set_model_defaults({"conf": metrics["test"]["threshold"], **used})
    session.log_artifact(EVALUATION_FOLDER)
    session.log_artifact(TEST_METRICS_FILE, folder="evaluation")
    with collect_run_state("evaluate") as state:
        session.log_artifact(state, folder=STATE_FOLDER)


def _flatten_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Name the metrics as in MLflow: test/mAP50-95, test/AP50-95/<class>."""
    per_class = {
        f"test/{metric}/{name}": value
        for name, row in metrics["per_class"].items()
        for metric, value in row.items()
    }
    test = {f"test/{metric}": value for metric, value in metrics["test"].items()}
    return test | per_class | _flatten_forgetting(metrics.get("forgotten", {}))


def _flatten_forgetting(forgotten: Mapping[str, Any]) -> dict[str, Any]:
    """Name what was forgotten as in MLflow: forgotten/base, forgotten/difference, forgotten/base/<class>."""
    rows = forgotten.get("per_class", {})
    per_class = {
        f"forgotten/{side}/{name}": row[side] for name, row in rows.items() for side in ("base", "finetuned")
    }
    return {
        f"forgotten/{name}": value for name, value in forgotten.items() if name != "per_class"
    } | per_class

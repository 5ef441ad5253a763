"""Summarize an evaluation for the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.core.metric_names import F1, HIGH, LOW, MAP50, MAP50_95, PRECISION, RECALL, TOP1, TOP5
from pipeline.core.text import format_count
from pipeline.dataset.manifest import Manifest
from pipeline.evaluate.further_metric_names import WORST_SLICE

MAX_BUSY_CORES: Final = 0.5
"""Cores that other processes may use without a remark."""


def summarize_metrics(test: Mapping[str, Any]) -> str:
    """Summarize the metrics in one line, those that can have an interval first."""
    first = (
        f"{name} {test[name]:.3f}{_format_interval(test, name)}"
        for name in test
        if name.rpartition("/")[2] in {MAP50_95, MAP50, TOP1, TOP5}
    )
    counted = f" with {test['objects']} objects" if "objects" in test else ""
    at = f" at threshold {test['threshold']:.3f}" if "threshold" in test else ""
    others = [name for name in test if name.endswith((PRECISION, RECALL, F1))]
    rest = ", ".join(f"{name} {test[name]:.3f}" for name in others) + _name_worst(test)
    return f"{', '.join(first)} on {test['images']} test images{counted};{at} {rest}"


def _format_interval(test: Mapping[str, Any], name: str) -> str:
    """Return the bounds of a metric, if there are any (evaluate.bootstrap=0 gives none)."""
    return f" ({test[name + LOW]:.3f} to {test[name + HIGH]:.3f})" if name + LOW in test else ""


def summarize_latency(latency: Mapping[str, Any]) -> str:
    """Summarize the time per image in one line.

    Args:
        latency: The fields of `yolo.inference.latency.Latency`.
    """
    parts = (("preprocess", "pre-processing"), ("inference", "inference"), ("postprocess", "post-processing"))
    times = ", ".join(f"{latency[name]:.1f} {title}" for name, title in parts)
    number = latency["threads"]
    threads = (
        f" with {number:g} {'thread' if number == 1 else 'threads'}" if latency["device"] == "cpu" else ""
    )
    return (
        f"{latency['total']:.1f} ms per image ({times}): "
        f"median of {latency['images']} at {latency['imgsz']} pixels on {latency['device']}{threads}"
        f"{_name_load(latency)}"
    )


def _name_load(latency: Mapping[str, Any]) -> str:
    """Say that other processes slowed the measurement down, where they used more than half a core."""
    is_busy = latency["busy"] > MAX_BUSY_CORES
    return f", while other processes used {latency['busy']:.1f} cores" if is_busy else ""


def _name_worst(test: Mapping[str, Any]) -> str:
    if WORST_SLICE not in test:
        return ""
    ending = f"_{WORST_SLICE}"
    [(name, value)] = [(name, value) for name, value in test.items() if name.endswith(ending)]
    return f"; worst slice {test[WORST_SLICE]}: {name.removesuffix(ending)} {value:.3f}"


def describe_crowded_images(manifest: Manifest, max_det: int) -> str | None:
    """Describe the images that have more objects than a prediction may have; None if there are none.

    Args:
        manifest: Of data/prepared.
        max_det: evaluate.max_det.
    """
    if manifest.task == "classify":
        return None
    counts = {split: [len(item.classes) for item in manifest.in_split(split)] for split in ("val", "test")}
    full = {split: sum(count > max_det for count in found) for split, found in counts.items()}
    if not any(full.values()):
        return None
    listed = " and ".join(format_count(count, f"{split} image") for split, count in full.items() if count)
    most = max(count for found in counts.values() for count in found)
    return (
        f"{listed} with more than {max_det} objects, of which no more can be found: set "
        f"evaluate.max_det={most} or higher"
    )

"""What an export was measured to be, and whether it is good enough."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pipeline.comparison.comparison_result import ModelComparison
from pipeline.export.agreement import Agreement
from pipeline.yolo.exporting.compare_latency import LatencyComparison


class ExportMeasurement(NamedTuple):
    """An exported file beside the checkpoint that it was made from, on the test images.

    Attributes:
        comparison: The checkpoint first, the exported file second.
        agreement: Of their boxes.
        latency: The checkpoint first.
    """

    comparison: ModelComparison
    agreement: Agreement
    latency: LatencyComparison


def find_refusal(measurement: ExportMeasurement, *, tolerance: float) -> str | None:
    """Return why an exported file is refused; None if it is good enough.

    Args:
        measurement: Of the file.
        tolerance: How far its main metric may be below that of the checkpoint.
    """
    main = measurement.comparison.main
    if not math.isfinite(main.second):
        return f"its {main.name} on test is no number"
    fall = -main.difference
    if fall <= tolerance:
        return None
    return (
        f"its {main.name} on test is {main.second:.3f}, {fall:.3f} below the checkpoint's {main.first:.3f} "
        f"(95% interval {-main.high:.3f} to {-main.low:.3f}), and export.tolerance allows {tolerance:g}"
    )


def describe_difference(measurement: ExportMeasurement, *, tolerance: float) -> str:
    """Describe how an exported file that is not refused differs from its checkpoint, with the interval.

    Args:
        measurement: Of the file.
        tolerance: How far its main metric may be below that of the checkpoint.
    """
    main = measurement.comparison.main
    return (
        f"its {main.name} on test is {main.second:.3f}, {main.difference:+.3f} beside the checkpoint's "
        f"{main.first:.3f} (95% interval {main.low:+.3f} to {main.high:+.3f}); export.tolerance allows a "
        f"measured fall of {tolerance:g}"
    )


def build_metrics(measurement: ExportMeasurement, *, megabytes: float) -> dict[str, Any]:
    """Return the figures of an export by short names; None for what is no number, which JSON has not."""
    main, latency = measurement.comparison.main, measurement.latency
    figures = {
        main.name: main.second,
        "checkpoint": main.first,
        "difference": main.difference,
        "difference_low": main.low,
        "difference_high": main.high,
        "agreement": measurement.agreement.share,
        "megabytes": megabytes,
        "milliseconds": latency.second,
        "checkpoint_milliseconds": latency.first,
    }
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}

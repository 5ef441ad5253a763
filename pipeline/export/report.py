"""The table of exported files for the terminal, and what MLflow has of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pipeline.export.export_model import ExportResult
from pipeline.export.model_source import ExportSource
from pipeline.tracking.store.run_additions import RunAddition

_COLUMNS = ("{:<20}", "{:>9}", "{:>25}", "{:>6}", "{:>6}", "{:>15}")
MLFLOW_FOLDER = "export"
"""Of the artifacts of a run, and the beginning of its metrics."""
TAG_PREFIX = "finetrack.export."
"""Begins the tag with the facts of an exported file."""


def format_head(source: ExportSource, result: ExportResult) -> Iterator[str]:
    """Yield the head of the table and the row of the checkpoint, from the first result."""
    if result.measurement is None:
        return
    main, latency = result.measurement.comparison.main, result.measurement.latency
    where = f"{latency.device}, {latency.threads} threads" if latency.device == "cpu" else latency.device
    yield (
        f"{source.iteration.label} on {main.images} test images of {source.imgsz} pixels; "
        f"ms per image on {where} (of the checkpoint, in turn)"
    )
    yield _format_row((main.name, "difference (95%)", "same", "MB", "ms (checkpoint)"), "")
    megabytes = source.weights.stat().st_size / 1e6
    yield _format_row((f"{main.first:.3f}", "", "", f"{megabytes:.1f}", ""), "checkpoint")


def format_result(result: ExportResult) -> Iterator[str]:
    """Yield the row of an exported file, and where it is or why it is refused."""
    size = f"{result.megabytes:.1f}"
    if result.measurement is None:
        yield _format_row(("-", "not measured", "-", size, "-"), result.variant.name)
    else:
        main, latency = result.measurement.comparison.main, result.measurement.latency
        shown = (
            f"{main.second:.3f}",
            f"{main.difference:+.3f} ({main.low:+.3f} to {main.high:+.3f})",
            f"{result.measurement.agreement.share:.1%}",
            size,
            f"{latency.second:.1f} ({latency.first:.1f})",
        )
        yield _format_row(shown, result.variant.name)
    yield f"  refused: {result.refusal}" if result.refusal else f"  {result.file}"


def build_addition(result: ExportResult) -> RunAddition:
    """Return what MLflow gets: the figures always, the file only if it was kept."""
    name = result.variant.name
    files = (result.file, result.file.with_name(f"{result.file.name}.json")) if result.file else ()
    metrics = result.facts.get("metrics", {})
    return RunAddition(
        {f"{MLFLOW_FOLDER}/{name}/{key}": value for key, value in metrics.items()},
        {TAG_PREFIX + name: json.dumps(result.facts, ensure_ascii=False, allow_nan=False)},
        files,
        f"{MLFLOW_FOLDER}/{name}",
    )


def _format_row(cells: Iterable[str], name: str) -> str:
    return " ".join(form.format(cell) for form, cell in zip(_COLUMNS, (name, *cells), strict=True)).rstrip()

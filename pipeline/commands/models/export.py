"""Export a model to another format, and measure the exported file (`finetrack export`)."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline.config.source_paths import resolve_source_path as resolve_path
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from pipeline.export.export_model import ExportResult
    from pipeline.export.model_source import ExportSource
    from pipeline.export.variants import ExportVariant
    from pipeline.tracking.target import TrackingTarget


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        arguments: `run`, `format`, `precision`, `nms`, `output`, `dynamic`, `device`, `unmeasured`.

    Raises:
        UserError: The model cannot be exported so, or an exported file was refused.
    """
    from pipeline.export.packages import find_python
    from pipeline.export.variants import plan_variants

    variants = plan_variants(arguments.format, arguments.precision, arguments.nms, dynamic=arguments.dynamic)
    if python := find_python(variants):
        _run_again(python, arguments)
    yield from _export(arguments, variants)


def _export(arguments: Namespace, variants: Sequence[ExportVariant]) -> Iterator[str]:
    from pipeline.compose.stage import plan_config
    from pipeline.core.paths import PREPARED_FOLDER
    from pipeline.dataset.prepared import read_manifest, require_labeled_objects
    from pipeline.export.export_model import ExportSettings, export_variants
    from pipeline.export.model_source import open_source
    from pipeline.export.variants import require_task_variants
    from pipeline.iterations.fetch_weights import fetch_weights
    from pipeline.iterations.predict_split import PreparedData
    from pipeline.iterations.resolve_reference import resolve_reference
    from pipeline.tracking.target import TrackingTarget

    config, manifest = plan_config(()), read_manifest(PREPARED_FOLDER)
    require_task_variants(variants, manifest.task)
    require_labeled_objects(manifest, ["test"])
    tracking = config.tracking
    target = TrackingTarget(tracking.uri, tracking.experiment, tracking.timeout)
    iteration = resolve_reference(_resolve_run(arguments), target, registry_name=config.registry.name)
    data = PreparedData(manifest)
    source = open_source(iteration, fetch_weights(iteration, target), data)
    if iteration.data not in {None, manifest.digest}:
        yield (
            f"note: {PREPARED_FOLDER} is not the data of {iteration.label}, which may have been trained on "
            "its test images: the differences hold, the figures themselves may be too high"
        )
    settings = ExportSettings(
        resolve_path(arguments.start, arguments.output),
        arguments.device,
        arguments.unmeasured,
    )
    results = export_variants(source, variants, data, config=config, settings=settings)
    yield from _report(source, results, target)


def _report(source: ExportSource, results: Iterator[ExportResult], target: TrackingTarget) -> Iterator[str]:
    """Yield the table row by row, and log each result to the run of the checkpoint.

    Raises:
        UserError: Files were refused; all others are kept.
    """
    from pipeline.export.report import build_addition, format_head, format_result
    from pipeline.tracking.store.run_additions import add_to_run

    refused: list[str] = []
    count = 0
    for count, result in enumerate(results, 1):
        if count == 1:
            yield from format_head(source, result)
        yield from format_result(result)
        if result.refusal:
            refused.append(f"{result.variant.name} is refused: {result.refusal}")
        if run_id := source.iteration.run_id:
            try:
                add_to_run(target, run_id, build_addition(result))
            except UserError as error:
                yield f"  not logged to the run: {error}"
    if refused:
        more = f" (and {len(refused) - 1} more of {count} files)" if len(refused) > 1 else ""
        raise UserError(f"{refused[0]}{more}")


def _resolve_run(arguments: Namespace) -> str:
    """Return the name of the model; a file is relative to the folder where the command was typed."""
    from pipeline.iterations.resolve_reference import is_weights_path

    run: str = arguments.run
    return str(resolve_path(arguments.start, run)) if is_weights_path(run) else run


def _run_again(python: Path, arguments: Namespace) -> NoReturn:
    """Run this command in the environment for exporters, in place of this process."""
    words = ["export", _resolve_run(arguments)]
    for flag in ("format", "precision", "nms", "device"):
        if value := getattr(arguments, flag):
            words += [f"--{flag}", value]
    words += ["--output", str(resolve_path(arguments.start, arguments.output))]
    words += [f"--{flag}" for flag in ("dynamic", "unmeasured") if getattr(arguments, flag)]
    sys.stdout.flush()
    os.execv(python, [str(python), "-m", "pipeline", *words])

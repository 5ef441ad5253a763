"""Compare models on the same test images (`finetrack compare A B`)."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from pipeline.config.source_paths import resolve_source_path
from pipeline.core.errors import UserError
from pipeline.runtime.output_encoding import needs_ascii_json

if TYPE_CHECKING:
    from pipeline.comparison.comparison_report import ComparisonReport
    from pipeline.config.schema import Config
    from pipeline.tracking.target import TrackingTarget

MIN_RESAMPLES: Final = 200
"""That a user may ask for."""
MAX_MODELS: Final = 26
"""Tables call them A to Z."""


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        arguments: `models`, `on`, `json`, `html`, `separate`, `resamples`, `unlogged`.

    Raises:
        UserError: A name stands for no model, or the models cannot be compared.
    """
    if len(arguments.models) < 2:
        raise UserError("one model cannot be compared: name two or more")
    if arguments.resamples is not None and arguments.resamples < MIN_RESAMPLES:
        raise UserError(f"--resamples {arguments.resamples} is not allowed: give {MIN_RESAMPLES} or more")
    from pipeline.storage.scratch_folder import create_scratch_folder

    with TemporaryDirectory(dir=create_scratch_folder("comparison"), prefix=".compare-") as folder:
        yield from _compare(arguments, Path(folder))


def _compare(arguments: Namespace, folder: Path) -> Iterator[str]:
    from pipeline.comparison.compare_models import choose_resamples
    from pipeline.comparison.comparison_report import build_report, report_to_json
    from pipeline.comparison.models.candidates import find_candidates
    from pipeline.comparison.models.collect_models import ModelCollector
    from pipeline.comparison.page.render_page import render_comparison_page
    from pipeline.comparison.text_report import format_report
    from pipeline.compose.stage import plan_config
    from pipeline.tracking.target import TrackingTarget

    config = plan_config(())
    target = TrackingTarget(config.tracking.uri, config.tracking.experiment, config.tracking.timeout)
    candidates = find_candidates(
        _resolve_models(arguments, config),
        target,
        registry_name=config.registry.name,
        pool=not arguments.separate,
    )
    if len(candidates) > MAX_MODELS:
        raise UserError(
            f"{len(candidates)} models are too many for one comparison: name {MAX_MODELS} at most"
        )
    collected = ModelCollector(config, target, folder, arguments.on).collect(candidates)
    report = build_report(
        candidates,
        collected.models,
        remarks=collected.remarks,
        resamples=arguments.resamples or choose_resamples(config.evaluate),
        seed=config.seed,
    )
    if arguments.json:
        values = report_to_json(report)
        yield json.dumps(values, indent=2, ensure_ascii=needs_ascii_json(), allow_nan=False)
    else:
        yield from format_report(report)
    root = collected.data.root if collected.data else Path()
    page = render_comparison_page(report, collected.models, root)
    yield from _deliver(arguments, report, page, target)


def _deliver(
    arguments: Namespace, report: ComparisonReport, page: str, target: TrackingTarget
) -> Iterator[str]:
    """Write the page and log it; the lines about it are not part of the JSON."""
    from pipeline.comparison.mlflow_log import log_comparison
    from pipeline.runtime.progress import print_notice
    from pipeline.storage.files import write_file

    lines = []
    if arguments.html:
        file = resolve_source_path(arguments.start, arguments.html)
        write_file(file, page)
        lines.append(f"page: {file}")
    if not arguments.unlogged:
        lines.append(log_comparison(target, report, page))
    if arguments.json:
        for line in lines:
            print_notice(f"compare: {line}")
    else:
        yield from lines


def _resolve_models(arguments: Namespace, config: Config) -> list[str]:
    """Return the names of the models; a file is relative to the folder where the command was typed."""
    from pipeline.comparison.models.zero_shot import ZERO_SHOT, find_zero_shot_weights
    from pipeline.iterations.resolve_reference import is_weights_path

    return [
        str(find_zero_shot_weights(config))
        if name == ZERO_SHOT
        else str(resolve_source_path(arguments.start, name))
        if is_weights_path(name)
        else name
        for name in arguments.models
    ]

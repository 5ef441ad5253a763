"""Predict on images and videos (`finetrack predict`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pipeline.commands.models.prediction_settings import SETTINGS, check_prediction_settings
from pipeline.config.source_paths import name_source, resolve_source_path
from pipeline.core.errors import UserError

PREDICTIONS_FOLDER: Final = Path("predictions")
"""Where results are written by default, in a folder with the source's name."""


def run_command(arguments: Namespace) -> Iterable[str]:
    """Return the lines to print, while it predicts.

    Args:
        arguments: See the command `predict` in pipeline/commands/command_line/model_commands.py.

    Raises:
        UserError: An argument, the model or the source cannot be used, or a file could not be read.
    """
    check_prediction_settings(arguments)
    formats = _parse_formats(arguments.formats)
    from pipeline.compose.stage import plan_config
    from pipeline.predict.choose_model import choose_model
    from pipeline.predict.request import PredictionRequest
    from pipeline.predict.run import run_prediction

    sources = [resolve_source_path(arguments.start, path) for path in arguments.source]
    output = (
        resolve_source_path(arguments.start, arguments.output)
        if arguments.output
        else PREDICTIONS_FOLDER / name_source([str(path.resolve()) for path in sources])
    )
    wanted: dict[str, Any] = {name: getattr(arguments, name) for name in SETTINGS}
    chosen = choose_model(_find_model(arguments), plan_config(()), wanted)
    return run_prediction(PredictionRequest(sources, output, formats, chosen))


def _find_model(arguments: Namespace) -> str | None:
    """Return the reference of the model; a file is found from the folder in which the user typed it."""
    if not arguments.model:
        return None
    file = resolve_source_path(arguments.start, arguments.model)
    return str(file) if file.exists() and _is_weights(file) else str(arguments.model)


def _is_weights(file: Path) -> bool:
    from pipeline.iterations.resolve_reference import is_weights_path

    return is_weights_path(str(file))


def _parse_formats(text: str) -> list[Any]:
    from pipeline.predict.request import FORMATS

    wanted = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in FORMATS]
    if unknown or not wanted:
        raise UserError(f"--formats {text} is not allowed: choose from {', '.join(FORMATS)}")
    return list(dict.fromkeys(wanted))

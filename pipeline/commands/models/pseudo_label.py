"""Label unlabelled images by a model, as further train images (`finetrack pseudo-label`)."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipeline.config.source_paths import name_source, resolve_source_path
from pipeline.core.errors import UserError

PSEUDO_LABELS_FOLDER: Final = Path("pseudo_labels")
"""Where results are written by default, in a folder with the source's name."""
_SHARES: Final = ("precision", "recall")


def run_command(arguments: Namespace) -> Iterable[str]:
    """Return the lines to print, while it labels.

    Args:
        arguments: See the command `pseudo-label` in pipeline/commands/command_line/model_commands.py.

    Raises:
        UserError: An argument, the model or the source cannot be used, or the model is not good enough.
    """
    _check_arguments(arguments)
    from pipeline.compose.stage import plan_config
    from pipeline.predict.pseudo_labels.run import PseudoLabelRequest, run_pseudo_labelling
    from pipeline.predict.pseudo_labels.thresholds import PseudoLabelRule

    sources = [resolve_source_path(arguments.start, path) for path in arguments.source]
    output = (
        Path(os.path.normpath(resolve_source_path(arguments.start, arguments.output)))
        if arguments.output
        else PSEUDO_LABELS_FOLDER / name_source([str(path.resolve()) for path in sources])
    )
    rule = PseudoLabelRule(arguments.precision, arguments.recall, arguments.least)
    wanted = {"device": arguments.device, "threads": arguments.threads}
    device = {name: value for name, value in wanted.items() if value is not None}
    request = PseudoLabelRequest(sources, output, arguments.model, rule, device)
    return run_pseudo_labelling(request, plan_config(()))


def _check_arguments(arguments: Namespace) -> None:
    for name in _SHARES:
        value = getattr(arguments, name)
        if not 0 < value <= 1:
            raise UserError(f"--{name} {value} is not allowed: give a share above 0 and up to 1, such as 0.9")
    if arguments.precision == 1:
        raise UserError(
            "--precision 1 is reached by no number of val images: give a share below 1, such as 0.95"
        )
    for name in ("least", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} {value} is not allowed: give 1 or more")

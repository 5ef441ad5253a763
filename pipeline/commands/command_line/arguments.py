"""A command, and the arguments that several commands have. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline.core.annotation_formats import ANNOTATION_FORMATS

Argument = tuple[str, Mapping[str, Any]]
"""The name or flag of an argument, and the keywords of `ArgumentParser.add_argument`."""


class Command(NamedTuple):
    """One command.

    Attributes:
        summary: What it does, in one line.
        details: What a user should know besides; a sentence or more.
        example: Commands that a user can type, a line each.
        arguments: Its arguments in order.
    """

    summary: str
    details: str
    example: str
    arguments: Sequence[Argument] = ()


JSON: Final[Argument] = ("--json", {"action": "store_true", "help": "print JSON, with every finding"})
FORMAT: Final[Argument] = (
    "--format",
    {
        "default": "auto",
        "metavar": "NAME",
        "help": f"as data.format, if it is not recognized: {', '.join(ANNOTATION_FORMATS)}",
    },
)
RUN: Final[Argument] = (
    "run",
    {"metavar": "RUN", "help": "a run's id or name, an alias, an experiment, a revision, or workspace"},
)
JSON_RESULT: Final[Argument] = ("--json", {"action": "store_true", "help": "print JSON"})
OVERRIDES: Final[Argument] = (
    "overrides",
    {"nargs": "*", "metavar": "OVERRIDE", "help": "a Hydra override, such as augment=strong"},
)
BY_DVC: Final = "DVC runs it as a stage of dvc.yaml when its inputs changed; it reads params.yaml."

"""The argument parser of every command. Standard library only, since `compose` starts with it."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from pipeline.commands.command_line.arguments import Command
from pipeline.commands.command_line.data_commands import DATA_COMMANDS
from pipeline.commands.command_line.iteration_commands import ITERATION_COMMANDS
from pipeline.commands.command_line.model_commands import MODEL_COMMANDS
from pipeline.commands.command_line.project_commands import PROJECT_COMMANDS
from pipeline.commands.command_line.team_commands import TEAM_COMMANDS
from pipeline.runtime.versions import PROGRAM, describe_version

GROUPS: Final[Mapping[str, Mapping[str, Command]]] = {
    "data": DATA_COMMANDS,
    "iterations": ITERATION_COMMANDS,
    "models": MODEL_COMMANDS,
    "team": TEAM_COMMANDS,
    "project": PROJECT_COMMANDS,
}
"""By the package of their modules: pipeline/commands/GROUP/NAME.py defines run_command(arguments)."""
COMMANDS: Final[Mapping[str, Command]] = {
    name: command for group in GROUPS.values() for name, command in group.items()
}
"""By name."""


def name_command_module(command: str) -> str:
    """Return the module that runs a command: data-diff is pipeline.commands.data.data_diff."""
    package = next(package for package, commands in GROUPS.items() if command in commands)
    return f"{__name__.rsplit('.', 2)[0]}.{package}.{command.replace('-', '_')}"


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keep line breaks, and put each command's summary beside its name."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=18, width=100)
        self._action_max_length = 16  # argparse counts names of commands without their indent


class CommandParser(argparse.ArgumentParser):
    """An argument parser that suggests the nearest command for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        """Print the error and how to get help; exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        sys.stdout.write(f"{describe_version()}\n")
        parser.exit()


def build_parser() -> CommandParser:
    """Build the parser of all commands."""
    parser = CommandParser(
        PROGRAM,
        formatter_class=HelpFormatter,
        description="Fine-tune Ultralytics YOLO on your own images; every iteration is tracked.",
        epilog="Rerun what changed with `dvc repro`; compare runs with `make ui`.\n"
        f"`{PROGRAM}` and `python -m pipeline` are the same. `{PROGRAM} COMMAND --help` says more.",
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser)
    for name, command in COMMANDS.items():
        _add_command(commands.add_parser, name, command)
    return parser


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add `--version`."""
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print versions and exit")


def suggest_command(name: str, known: Iterable[str] = COMMANDS) -> str:
    """Return a sentence about a command that does not exist, with the nearest ones."""
    near = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
    return f"there is no command {name!r}: {hint}"


def _add_command(add: Callable[..., argparse.ArgumentParser], name: str, command: Command) -> None:
    examples = "\n".join(f"  {line}" for line in command.example.splitlines())
    parser = add(
        name,
        help=command.summary,
        formatter_class=HelpFormatter,
        description=f"{command.summary[0].upper()}{command.summary[1:]}.\n\n{command.details}",
        epilog=f"examples:\n{examples}",
    )
    for flag, keywords in command.arguments:
        parser.add_argument(flag, **keywords)

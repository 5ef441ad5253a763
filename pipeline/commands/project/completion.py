"""Print a shell completion script (`finetrack completion bash`)."""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator

from pipeline.commands.command_line.parser import build_parser


def run_command(arguments: Namespace) -> list[str]:
    """Return the completion script; shtab, which DVC uses too, generates it from the argument parser.

    Args:
        arguments: `shell`, bash or zsh.
    """
    import shtab

    parser = build_parser()
    for action in _iterate_arguments(parser):
        if action.dest == "path":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return [shtab.complete(parser, shell=arguments.shell)]


def _iterate_arguments(parser: ArgumentParser) -> Iterator[Action]:
    """Yield the arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from _iterate_arguments(command)

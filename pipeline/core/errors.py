"""Errors that end a command without a traceback: one sentence for the user, or a signal."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final, NoReturn

PRUNED_EXIT_CODE: Final = 3
"""Of a training that its sweep ended early; any other code than 0 keeps DVC from recording it."""


class UserError(RuntimeError):
    """Stop the command with one sentence for the user: what is wrong, where, what to do.

    Args:
        sentence: The message; line breaks in it, as in file names, become spaces.
        *details: Further lines of a message that is too long for one, such as examples and what to do.
    """

    def __init__(self, sentence: str, *details: str) -> None:
        super().__init__("\n  ".join(" ".join(line.splitlines()) for line in (sentence, *details)))


class ChangedInputError(UserError):
    """Files that a stage reads were changed while it read them: what it made of them is of no use."""


class DamagedFileError(UserError):
    """A file of an output of a stage does not have the contents that the stage wrote.

    Attributes:
        file: Its path, relative to the project.
    """

    def __init__(self, sentence: str, *, file: str) -> None:
        super().__init__(sentence)
        self.file = file


class PrunedError(UserError):
    """A sweep ended a training early, since its val metric was behind; its checkpoint is kept.

    Attributes:
        epoch: The last epoch, from 1.
    """

    def __init__(self, sentence: str, *, epoch: int) -> None:
        super().__init__(sentence)
        self.epoch = epoch


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: a KeyboardInterrupt, so that what cleans up after Ctrl-C handles it too."""


def raise_terminated(signal_number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - of a handler
    """Raise `Terminated`: a handler for `signal.signal`."""
    raise Terminated


def describe_missing_module(error: ModuleNotFoundError) -> str:
    """Return a sentence for the user who runs a Python without the project's packages."""
    where = "run `source .venv/bin/activate` first (`make setup` creates it)"
    return f"{error.name} is not installed for {sys.executable}: {where}"

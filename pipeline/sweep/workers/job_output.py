"""Find in the output of a job why it failed: a message of a stage, of DVC or of Python, or a signal."""

from __future__ import annotations

import re
import signal
from typing import Final

STAGE_LINE: Final = re.compile(r"(?:compose|prepare|augment|finetune|evaluate): \S.*")
"""A message of a stage: the last one says why it failed, unless it was killed."""
EXIT_LINE: Final = re.compile(r"ERROR: failed to reproduce '(\w+)': .*exited with (-?\d+)")
"""How DVC names a stage that failed, with its exit code."""
_SHELL_OFFSET: Final = 128
"""A shell adds this to the number of the signal that ended its command."""


class JobOutput:
    """The lines of a job's output that may say why it failed."""

    def __init__(self) -> None:
        self._reason = ""
        self._exit: tuple[str, int] | None = None
        self._in_traceback = False

    def add_line(self, line: str) -> None:
        """Note a line, without its line end."""
        if found := EXIT_LINE.match(line):
            self._exit = found[1], int(found[2])
        elif line.startswith("Traceback ("):
            self._in_traceback = True
        elif self._in_traceback and line and not line[0].isspace():
            self._in_traceback = False
            self._reason = line
        elif STAGE_LINE.fullmatch(line) or line.startswith("ERROR: "):
            self._reason = line.removeprefix("ERROR: ")

    def explain_failure(self, code: int) -> str:
        """Return why the job failed.

        Args:
            code: The exit code of the job's process, of DVC.
        """
        stage, status = self._exit or ("dvc", code)
        number = -status if status < 0 or not self._exit else status - _SHELL_OFFSET
        if number in {signal.SIGINT, signal.SIGTERM}:
            return f"{stage} was stopped by {signal.Signals(number).name}"
        if number > 0:
            return f"{stage} was ended by {_name_signal(number)}; its last message: {self._reason or 'none'}"
        return self._reason or f"{stage} ended with exit code {status} and without a message"


def _name_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}, as by a system without memory" if name == "SIGKILL" else name

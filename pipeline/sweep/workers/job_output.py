"""Find in the output of a job why it failed: a message of a stage, of DVC or of Python, or a signal."""

from __future__ import annotations

import re
import signal
from typing import Final, NamedTuple

from pipeline.core.errors import PRUNED_EXIT_CODE

STAGE_LINE: Final = re.compile(r"(?:compose|prepare|augment|finetune|evaluate): \S.*")
"""A message of a stage: the last one says why it failed, unless it was killed."""
EXIT_LINE: Final = re.compile(r"ERROR: failed to reproduce '(\w+)': .*exited with (-?\d+)")
"""How DVC names a stage that failed, with its exit code."""
BEGIN_LINE: Final = re.compile(r"Running stage '([\w@.-]+)'")
"""How DVC names a stage that it runs."""
RESTORED_LINE: Final = re.compile(r"Stage '([\w@.-]+)' (?:is cached|didn't change)")
"""How DVC names a stage whose results it has; `is cached` where it checks them out."""
TRAINED_BEFORE_LINE: Final = "finetune: trained before, "
"""A training of an earlier attempt had ended, and only its outputs were written again."""
MEMORY_SIGNS: Final = (
    "MemoryError",
    "OutOfMemoryError",
    "CUDA out of memory",
    "out of memory",
    "memory is not enough",
)
OUT_OF_MEMORY: Final = "it ran out of memory"
_SHELL_OFFSET: Final = 128
"""A shell adds this to the number of the signal that ended its command."""


class StageLine(NamedTuple):
    """A stage begins, or DVC has its results.

    Attributes:
        stage: Its name.
        restored: Whether DVC has its results.
    """

    stage: str
    restored: bool


def parse_stage_line(line: str) -> StageLine | None:
    """Read which stage a line of DVC is about; None for any other line."""
    text = line.strip()
    if found := BEGIN_LINE.match(text):
        return StageLine(found[1], False)
    found = RESTORED_LINE.match(text)
    return StageLine(found[1], True) if found else None


class JobOutput:
    """The lines of a job's output that may say why it failed.

    Attributes:
        stages: The stages that began, with whether DVC had their results.
    """

    def __init__(self) -> None:
        self.stages: dict[str, bool] = {}
        self._reason = self._last_line = ""
        self._exit: tuple[str, int] | None = None
        self._in_traceback = False

    @property
    def is_pruned(self) -> bool:
        """Whether the sweep ended the training early."""
        return self._exit == ("finetune", PRUNED_EXIT_CODE)

    @property
    def has_finished_inputs(self) -> bool:
        """Whether the stages before finetune are done, so that other jobs can share their results."""
        return "finetune" in self.stages

    @property
    def last_message(self) -> str:
        """The last message of a stage, of DVC or of Python; empty if there was none."""
        return self._reason

    def add_line(self, line: str) -> None:
        """Note a line, without its line end."""
        if begun := parse_stage_line(line):
            self.stages[begun.stage] = begun.restored
        if line.startswith(TRAINED_BEFORE_LINE):
            self.stages["finetune"] = True
        found = EXIT_LINE.match(line)
        self._last_line = self._last_line if found or not line.strip() else line.strip()
        if found:
            self._exit = found[1], int(found[2])
        elif line.startswith("Traceback ("):
            self._in_traceback = True
        elif self._in_traceback and line and not line[0].isspace():
            self._in_traceback = False
            self._reason = line
        elif STAGE_LINE.fullmatch(line) or line.startswith("ERROR: "):
            self._reason = line.removeprefix("ERROR: ")

    def find_signal(self, code: int) -> int | None:
        """Return the signal that ended the stage, or DVC itself; None if it ended by itself.

        Args:
            code: The exit code of the job's process, of DVC.
        """
        _, status = self._exit or ("dvc", code)
        number = -status if status < 0 or not self._exit else status - _SHELL_OFFSET
        return number if number > 0 else None

    def explain_failure(self, code: int, *, out_of_memory: bool = False) -> str:
        """Return why the job failed.

        Args:
            code: The exit code of the job's process, of DVC.
            out_of_memory: Whether the system killed a process since it had no memory left.
        """
        stage, status = self._exit or ("dvc", code)
        number = self.find_signal(code)
        message = f"its last message: {self._reason or 'none'}"
        if number in {signal.SIGINT, signal.SIGTERM}:
            return f"{stage} was stopped by {signal.Signals(number).name}"
        if number == signal.SIGKILL and out_of_memory:
            return f"{OUT_OF_MEMORY}: the system killed {stage}; {message}"
        if number is not None:
            return f"{stage} was ended by {_name_signal(number)}; {message}"
        if any(sign in self._reason for sign in MEMORY_SIGNS):
            return f"{OUT_OF_MEMORY}: {self._reason}"
        line = f"; its last line: {self._last_line}" if self._last_line else " and without a message"
        return self._reason or f"{stage} ended with exit code {status}{line}"


def _name_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}, as by a system without memory" if name == "SIGKILL" else name

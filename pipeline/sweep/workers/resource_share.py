"""What one job at a time may use of a machine."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

THREADS_VARIABLE: Final = "OMP_NUM_THREADS"


class ResourceShare(NamedTuple):
    """What one job at a time may use.

    Attributes:
        cores: Its CPUs.
        gpu: Its GPU for CUDA_VISIBLE_DEVICES; None to leave the variable as it is.
    """

    cores: tuple[int, ...]
    gpu: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that limit libraries to the share."""
        return self._limit_threads() | ({} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu})

    def _limit_threads(self) -> dict[str, str]:
        """Limit the threads where the number is certain.

        A job is pinned to its cores, so it has no more threads than these. Where it has several, a training
        uses fewer while other programs use them; with a number it would always use so many, and wait.
        """
        asked = os.environ.get(THREADS_VARIABLE, "")
        if len(self.cores) == 1:
            return {THREADS_VARIABLE: "1"}
        if self.cores and asked.isdecimal():
            return {THREADS_VARIABLE: str(min(int(asked), len(self.cores)))}
        return {}

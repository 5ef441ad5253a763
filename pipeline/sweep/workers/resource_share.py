"""What one job at a time may use of a machine."""

from __future__ import annotations

from typing import NamedTuple


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
        threads = {"OMP_NUM_THREADS": str(len(self.cores))} if self.cores else {}
        return threads | ({} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu})

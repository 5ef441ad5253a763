"""Choose where per-image work runs: threads of this machine or a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.runtime.thread_pool import ParallelExecutor, map_in_threads


def open_executor(
    backend: Literal["local", "ray"], *, address: str, workers: int = 0, samples: Sequence[Path] = ()
) -> AbstractContextManager[ParallelExecutor]:
    """Return the executor that conf/compute chooses, as a context manager.

    Args:
        backend: local or ray.
        address: Address of the Ray cluster.
        workers: Threads of this machine; 0: one per core.
        samples: Some of the files that the work reads: each Ray node must see the same ones.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    if backend == "local":
        return nullcontext(partial(map_in_threads, workers=workers))
    from pipeline.runtime.ray import executor  # only where work leaves this machine

    return executor.open_cluster_executor(address, samples=samples)

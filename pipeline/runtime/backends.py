"""Choose where per-image work runs: threads of this machine or a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.runtime.workers import ParallelExecutor, each


def dealer(
    backend: Literal["local", "ray"], *, address: str, workers: int = 0, seen: Sequence[Path] = ()
) -> AbstractContextManager[ParallelExecutor]:
    """Return what deals work out as conf/compute says.

    Args:
        backend: local or ray.
        address: Of the Ray cluster.
        workers: Threads of this machine; 0: one per core.
        seen: Files that the work reads, some of them: each node must see the same.

    Raises:
        Refused: There is no Ray, or no such cluster.
    """
    if backend == "local":
        return nullcontext(partial(each, workers=workers))
    from pipeline.runtime import ray_cluster  # only where work leaves this machine

    return ray_cluster.joined(address, seen=seen)

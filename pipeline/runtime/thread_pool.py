"""Run work in parallel threads, with results in the order of the work.

Threads are enough: decoding, hashing, warping, encoding and numpy release Python's global lock, nothing is
pickled, and a killed stage leaves no child process that continues to write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

from pipeline.runtime.memory import reuse_freed_memory
from pipeline.runtime.progress import Progress
from pipeline.runtime.worker_count import choose_worker_count

_A = TypeVar("_A")
_T = TypeVar("_T")
SubmitBatch = Callable[[Sequence[_A]], Callable[[], list[_T]]]

_MAX_BATCH: Final = 8
"""Items that a worker takes at a time, at most."""
_BATCHES_PER_WORKER: Final = 4
"""Batches that are submitted and not yet read, for each worker."""
_READING_THREADS: Final = 8
_MAX_PART: Final = 256
"""Files that a reading thread takes at a time, at most: handing over single ones takes longer."""


class ParallelExecutor(Protocol):
    """Calls a function on many items, in threads of this machine (`map_in_threads`) or on a Ray cluster."""

    def __call__(self, work: Callable[[_A], _T], items: Iterable[_A], *, progress: Progress) -> Iterator[_T]:
        """Yield the results in the order of the items."""


def map_in_threads(
    work: Callable[[_A], _T], items: Iterable[_A], *, progress: Progress, workers: int = 0
) -> Iterator[_T]:
    """Call `work` on each item in threads of this machine; yield the results in the order of the items.

    Args:
        work: The function.
        items: Is read only a little ahead of the work.
        progress: Counts the results; its total says how many items there are.
        workers: Threads; 0: one per core that this process may use.
    """
    reuse_freed_memory()
    workers = choose_worker_count(workers)
    pool = ThreadPoolExecutor(workers, thread_name_prefix=progress.stage)

    def submit(batch: Sequence[_A]) -> Callable[[], list[_T]]:
        return pool.submit(run_batch, work, batch).result

    try:
        yield from map_in_order(submit, items, workers=workers, progress=progress)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C and on an error, waiting batches do not start


def map_in_order(
    submit: SubmitBatch[_A, _T], items: Iterable[_A], *, workers: int, progress: Progress
) -> Iterator[_T]:
    """Keep all workers busy with as few results in memory as possible; yield the results in order.

    Args:
        submit: Starts a batch, and returns a function that waits for its results.
        items: The work.
        workers: Batches that run at a time.
        progress: Counts the results.
    """
    limit = _BATCHES_PER_WORKER * workers
    size = max(1, min(_MAX_BATCH, (progress.total or 0) // limit))
    remaining, submitted = iter(items), deque[Callable[[], list[_T]]]()
    with progress:
        while True:
            while len(submitted) < limit and (batch := list(islice(remaining, size))):
                submitted.append(submit(batch))
            if not submitted:
                return
            for result in submitted.popleft()():
                progress.update()
                yield result


def read_in_threads(read: Callable[[_A], _T], items: Sequence[_A]) -> list[_T]:
    """Read many small files in more threads than there are cores, since some wait for the disk.

    Args:
        read: Reads what belongs to an item. The error of the first item that has one is raised.
        items: The work.

    Returns:
        The results in the order of the items.
    """
    size = min(_MAX_PART, max(1, -(-len(items) // _READING_THREADS)))
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(_READING_THREADS, thread_name_prefix="read") as pool:
        return [result for part in pool.map(partial(run_batch, read), parts) for result in part]


def run_batch(work: Callable[[_A], _T], batch: Sequence[_A]) -> list[_T]:
    """Call `work` on each item of a batch."""
    return [work(item) for item in batch]

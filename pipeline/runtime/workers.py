"""Deal work out, to the cores of this machine or to a Ray cluster; outcomes come in the order of the work.

Threads suffice here: decoding, hashing, warping, encoding and numpy release the interpreter's lock, nothing
is pickled, and a killed stage leaves no orphan that goes on writing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final, Protocol, TypeVar

from tqdm import tqdm

from pipeline.runtime.memory import keep_freed

_A = TypeVar("_A")
_T = TypeVar("_T")
SubmitBatch = Callable[[Sequence[_A]], Callable[[], list[_T]]]

_AT_ONCE: Final = 8
"""Pieces of work that are handed over at a time, at most."""
_AHEAD: Final = 4
"""Such portions that wait for each core."""


class ParallelExecutor(Protocol):
    """Does work on each of many things; see `each`."""

    def __call__(
        self, work: Callable[[_A], _T], todo: Iterable[_A], *, total: int, what: str
    ) -> Iterator[_T]:
        """Yield what comes of each."""


def each(
    work: Callable[[_A], _T], todo: Iterable[_A], *, total: int, what: str, workers: int = 0
) -> Iterator[_T]:
    """Do the work on several cores of this machine, with a progress bar.

    Args:
        work: What is done with each.
        todo: Is asked for no more than is soon to be done.
        total: How much there is.
        what: Stands before the progress bar.
        workers: Threads; 0: one per core that this process may use.
    """
    keep_freed()
    hands = workers or cores()
    pool = ThreadPoolExecutor(hands, thread_name_prefix=what)

    def submit(several: Sequence[_A]) -> Callable[[], list[_T]]:
        return pool.submit(do_all, work, several).result

    try:
        yield from in_order(submit, todo, hands=hands, total=total, what=what)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C and on an error, what waits is not begun


def in_order(
    submit: SubmitBatch[_A, _T], todo: Iterable[_A], *, hands: int, total: int, what: str
) -> Iterator[_T]:
    """Keep each hand busy, and as few outcomes in memory as that takes, with a progress bar.

    Args:
        submit: Begins a portion of the work, and returns what waits for its outcomes.
        todo: The work.
        hands: Portions that are at work at a time.
        total: How much work there is.
        what: Stands before the progress bar.
    """
    at_once = max(1, min(_AT_ONCE, total // (_AHEAD * hands)))
    with tqdm(total=total, desc=what, unit="image", disable=None) as bar:
        left, under_way = iter(todo), deque[Callable[[], list[_T]]]()
        while True:
            while len(under_way) < _AHEAD * hands and (several := list(islice(left, at_once))):
                under_way.append(submit(several))
            if not under_way:
                return
            for outcome in under_way.popleft()():
                bar.update()
                yield outcome


def do_all(work: Callable[[_A], _T], several: Sequence[_A]) -> list[_T]:
    """Do a portion of the work."""
    return [work(one) for one in several]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

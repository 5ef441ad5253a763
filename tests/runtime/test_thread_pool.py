"""Work in threads: it is requested late, spread over all workers, and its errors are raised."""

from functools import partial
from operator import call
from threading import Barrier

import pytest

from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import map_in_threads


def test_work_is_requested_shortly_before_it_is_done():
    requested = []

    def iterate_work():
        for number in range(1000):
            requested.append(number)
            yield partial(int, number)

    results = map_in_threads(call, iterate_work(), progress=Progress("count", 1000))
    assert next(results) == 0
    assert len(requested) < 1000
    assert list(results) == list(range(1, 1000))


def test_little_work_is_spread_over_all_workers():
    barrier = Barrier(4)

    def wait_for_others(number):
        barrier.wait(timeout=20)
        return number

    results = map_in_threads(wait_for_others, range(4), progress=Progress("count", 4), workers=4)
    assert list(results) == [0, 1, 2, 3]


def test_error_of_one_piece_of_work_is_raised():
    def fail():
        raise ZeroDivisionError

    work = (fail if n == 20 else partial(int, n) for n in range(10_000))
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(call, work, progress=Progress("count", 10_000)))

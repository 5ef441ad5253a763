"""Work in threads: it is requested late, spread over all workers, and its errors are raised."""

from functools import partial
from operator import call
from threading import Barrier

import pytest

from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import map_in_threads, read_in_threads


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


@pytest.mark.parametrize("count", [0, 1, 8, 9, 5000])
def test_files_are_read_in_threads_in_order(count):
    assert read_in_threads(str, range(count)) == [str(number) for number in range(count)]


def test_eight_files_are_read_at_a_time_and_the_first_error_is_raised():
    barrier = Barrier(8)
    assert sorted(read_in_threads(lambda _: barrier.wait(10), range(8))) == [*range(8)]

    def read(number):
        if number in {100, 4000}:
            raise OSError(number)

    with pytest.raises(OSError, match="100"):
        read_in_threads(read, range(5000))


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

"""Freed memory stays with the process, where the C library is glibc."""

import platform
import resource
import threading

import numpy as np
import pytest

from pipeline.edges import memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_next_image_fetches_no_pages_anew():
    memory.keep_freed()
    faults = []

    def images():
        for _ in range(10):
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
            several = [np.ones((1000, 1000, channels), np.uint8) for channels in (1, 3, 3, 6)]
            del several
            faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

    thread = threading.Thread(target=images)
    thread.start()
    thread.join()
    assert max(faults[5:]) < 300  # else 1,876 of the 3,174 pages each time

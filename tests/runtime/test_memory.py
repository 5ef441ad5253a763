"""Reuse of freed memory (glibc), and the memory limit of a container."""

import platform
import resource
import threading

import numpy as np
import pytest

from pipeline.runtime.memory import read_available_memory, reuse_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_reused_for_the_next_image():
    reuse_freed_memory()
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
    assert max(faults[5:]) < 300  # otherwise 1,876 of the 3,174 pages each time


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"memory.max": "max", "memory.current": "5"}, None),
        ({"memory.max": "1000", "memory.current": "400", "memory.stat": "anon 1\ninactive_file 150\n"}, 750),
        ({"memory.max": "1000", "memory.current": "1400", "memory.stat": "anon 1\n"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "400",
                "memory/memory.stat": "inactive_file 0\n",
            },
            600,
        ),
    ],
)
def test_the_limit_of_a_container_counts(tmp_path, files, expected):
    (tmp_path / "memory").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = read_available_memory(tmp_path)
    assert found == expected if expected is not None else found > 1e6

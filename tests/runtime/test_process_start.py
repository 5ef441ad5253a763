"""A process is told from another one that has its number, and from one that the system hides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.process_start import read_boot_id, read_process_start

HIDE = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh"]
"""Runs a command where /proc shows nobody the processes of others."""
NOBODY = 65534
CODE = """
import os, runpy, sys
found = runpy.run_path(sys.argv[1])
os.setgroups([])
os.setgid(int(sys.argv[2]))  # group 0 may see all
os.setuid(int(sys.argv[2]))
try:
    print(found["read_process_start"](int(sys.argv[3])))
except found["HiddenProcessError"]:
    print("hidden")
"""


def test_a_process_starts_once_and_ends():
    with subprocess.Popen(["sleep", "60"]) as process:
        start = read_process_start(process.pid)
        assert start == read_process_start(process.pid) >= read_process_start(os.getpid())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert read_process_start(process.pid) is None  # nobody has asked for its status yet
    assert read_process_start(process.pid) is None
    assert read_process_start(2**40) is None


def test_a_machine_has_one_start():
    assert read_boot_id() == read_boot_id() != ""


@pytest.mark.fault(8, "a process of another user that the system hides")
def test_a_hidden_process_has_not_ended():
    if subprocess.run([*HIDE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no /proc can be mounted here")
    module = Path(read_process_start.__code__.co_filename)
    with subprocess.Popen(["sleep", "60"]) as process:
        asked = [*HIDE, sys.executable, "-c", CODE, str(module), str(NOBODY)]
        answers = [
            subprocess.run([*asked, str(pid)], capture_output=True, text=True, check=True).stdout.strip()
            for pid in (process.pid, 4_194_000)
        ]
        process.kill()
    assert answers == ["hidden", "None"]

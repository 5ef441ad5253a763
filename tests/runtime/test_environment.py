"""A user of a container who has neither a name nor a home folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import getpass, pathlib
from pipeline.runtime.environment import set_environment
set_environment()
print(getpass.getuser(), pathlib.Path.home())
"""


@pytest.mark.fault(3, "a user id without a name")
def test_user_without_a_name_gets_one(tmp_path):
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become a user without a name, with setpriv of Linux")
    reading = "+dac_override,+dac_read_search"  # the interpreter may be in root's home
    become = ["setpriv", "--reuid=12345", "--clear-groups", f"--inh-caps={reading}"]
    done = subprocess.run(
        [*become, f"--ambient-caps={reading}", sys.executable, "-c", CODE],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["uid12345", f"{tmp_path}/.finetrack/home"], done.stderr

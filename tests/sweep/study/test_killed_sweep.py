from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="forks")


@pytest.mark.fault(14, "SIGKILL of a sweep after any of its writes")
@pytest.mark.parametrize(
    ("sampler", "pruner", "points"),
    [
        ("tpe", "median", 8),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("tpe", "asha", 16),
                ("random", "asha", 12),
                ("random", "median", 12),
                ("gp", "median", 12),
                ("gp", "asha", 12),
                ("cmaes", "asha", 12),
                ("cmaes", "median", 12),
            )
        ),
    ],
)
def test_a_killed_sweep_proposes_and_prunes_as_if_it_had_never_stopped(
    tmp_path, database, sampler, pruner, points
):
    root = Path(__file__).parents[3]
    command = [
        sys.executable,
        "-m",
        "tests.sweep.study.killed_sweep",
        str(tmp_path),
        sampler,
        pruner,
        str(points),
        str(database),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] >= 5
    assert seen["pruned"]
    assert seen["pruned"] + seen["complete"] == points

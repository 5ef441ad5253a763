"""Run a sweep whose process is killed again and again, and one that is not, and compare what they trained.

Usage: python killed_sweep.py FOLDER SAMPLER PRUNER POINTS TEMPLATE. Each sweep runs in forks of this process,
which has imported Optuna once. A fork is killed with SIGKILL right after one of its writes to the database,
each fork after another number of writes, so that all the places between two writes have their turn.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from tests.sweep.study.studies import INTERVALS, MIXED, copy_empty_database, open_sweep, run_sweep

WRITES = (
    "_create_new_trial",
    "_set_trial_param",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
)


def kill_after(writes: int) -> None:
    """Have this process killed right after so many writes."""
    left = [writes]

    def wrap(write: Callable[..., Any]) -> Callable[..., Any]:
        def write_and_count(*args: Any, **options: Any) -> Any:
            found = write(*args, **options)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return write_and_count

    for name in WRITES:
        setattr(RDBStorage, name, wrap(getattr(RDBStorage, name)))


def run_in_fork(project: Path, kind: tuple[str, str, int], writes: int) -> bool:
    """Run the sweep in a fork that is killed after so many writes, or never. Return whether it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            os.environ["FINETRACK_ROOT"] = str(project)
            if writes:
                kill_after(writes)
            sampler, pruner, points = kind
            space = MIXED if sampler == "tpe" else INTERVALS
            study = open_sweep(space, sampler=sampler, pruner=pruner, trials=points, pruner_startup=3)
            run_sweep(study)
            seen = [
                (point.number, dict(point.values), point.status, point.objectives, point.curves)
                for point in study.points
            ]
            (project / "points.json").write_text(json.dumps(seen))
            study.close()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in {0, -signal.SIGKILL}:
        raise SystemExit(f"the sweep ended with {status}")
    return status == 0


def main(folder: Path, kind: tuple[str, str, int], template: Path) -> None:
    """Run both sweeps, and print how often one was killed."""
    for name in ("whole", "killed"):
        copy_empty_database(template, folder / name)
    run_in_fork(folder / "whole", kind, 0)
    kills = next(kill for kill in count() if run_in_fork(folder / "killed", kind, 11 + 4 * kill))
    whole, killed = (json.loads((folder / name / "points.json").read_text()) for name in ("whole", "killed"))
    if whole != killed:
        raise SystemExit(f"they differ:\n{whole}\n{killed}")
    states = [point[2] for point in whole]
    print(  # noqa: T201 - read by the test
        json.dumps({"kills": kills, "pruned": states.count("pruned"), "complete": states.count("complete")})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), (sys.argv[2], sys.argv[3], int(sys.argv[4])), Path(sys.argv[5]))

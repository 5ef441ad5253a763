"""Run one job on a node of a cluster: a request on standard input, events on standard output, as JSON.

`NodeProcess` starts it, in the project's folder or in a clone of it. Further lines of standard input are
`stop` or `kill`; its end means `kill`, so that the job does not outlive what started it.
"""

from __future__ import annotations

import itertools
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TextIO

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import NO_LOCKS
from pipeline.sweep.job import JobResult, StageBegan
from pipeline.sweep.workers.job_process import JobProcess
from pipeline.sweep.workers.job_request import JobRequest, format_event, parse_request
from pipeline.sweep.workers.remote_workspace import run_in_clone
from pipeline.sweep.workers.resource_share import ResourceShare
from pipeline.sweep.workers.run_job import JobControl, run_job
from pipeline.sweep.workspaces.workspace import hold_workspace

MACHINE_VARIABLES: Final = ("FINETRACK_FORK_SERVER",)
"""Variables of the sweep that name something on its own machine."""
_SLURM_CPUS: Final = "SLURM_CPUS_PER_TASK"
_SLURM_ID: Final = "SLURM_JOB_ID"


def main() -> int:
    """Run the job; print its events."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what anything else prints is no event
    request = parse_request(sys.stdin.readline())
    control = _build_control(report)
    for number in (signal.SIGTERM, signal.SIGINT):  # Slurm sends them to all processes of its job
        signal.signal(number, lambda *_: control.process.stop(force=False))
    threading.Thread(target=_obey, args=(control.process,), daemon=True).start()
    print(format_event(_run_job(request, control)), file=report, flush=True)
    return 0


def _build_control(report: TextIO) -> JobControl:
    def report_stage(event: StageBegan) -> None:
        print(format_event(event), file=report, flush=True)

    return JobControl(JobProcess(), report_stage, choose_threads(os.environ))


def _run_job(request: JobRequest, control: JobControl) -> JobResult:
    def run(local: JobRequest) -> JobResult:
        kept = {
            key: value for key, value in local.context.environment.items() if key not in MACHINE_VARIABLES
        }
        context = local.context._replace(environment=kept)
        with (
            hold_free_slot(context.folder) as slot,
            hold_workspace(context, slot) as workspace,
        ):
            return run_job(local.job, context, workspace=workspace, share=ResourceShare(()), control=control)

    try:
        result = run(request) if request.source is None else run_in_clone(request, run)
    except UserError as error:
        result = JobResult(request.job, "failed", reason=str(error))
    if result.reason is not None:
        return replace(result, reason=f"{result.reason} (on {platform.node()})")
    return result


def choose_threads(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that limits libraries to the CPUs that Slurm gave, where it does not pin the job.

    Args:
        environment: Of this process; Ray has set OMP_NUM_THREADS in it.
    """
    cpus = environment.get(_SLURM_CPUS, "")
    return {"OMP_NUM_THREADS": cpus} if cpus.isdecimal() and "OMP_NUM_THREADS" not in environment else {}


@contextmanager
def hold_free_slot(folder: Path) -> Iterator[str]:
    """Hold the name of a workspace that no other job of this machine uses; the same ones are used again.

    On a disk without locks each job has a name of its own.

    Args:
        folder: Of the sweep.
    """
    import fcntl

    locks = folder / "slots"
    locks.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        slot = f"{platform.node() or 'node'}-{number}"
        with (locks / slot).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                slot = f"{platform.node() or 'node'}-{os.environ.get(_SLURM_ID) or f'process{os.getpid()}'}"
            yield slot
            return


def _obey(process: JobProcess) -> None:
    for line in sys.stdin:
        process.stop(force=line.strip() == "kill")
    process.stop(force=True)


if __name__ == "__main__":
    sys.exit(main())

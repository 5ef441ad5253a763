"""Ask Slurm for the states of jobs: squeue, and sacct for jobs that squeue has forgotten."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from pipeline.sweep.launchers.cluster import AttemptEnd

REFRESH_SECONDS: Final = 10.0
"""All jobs are asked for at once, and not more often."""
ALIVE_STATES: Final = frozenset({
    "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "RESIZING",
    "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_FED",
})  # fmt: skip
"""In Slurm's words; submitit's local jobs have RUNNING, too."""
_AGAIN: Final = {
    "PREEMPTED": "it was preempted",
    "TIMEOUT": "its time limit was over (sweep.slurm.time)",
    "NODE_FAIL": "its node was lost",
    "BOOT_FAIL": "its node did not start",
    "REVOKED": "another cluster took it",
    "INTERRUPTED": "a signal ended it",
}
_QUERY_SECONDS: Final = 60.0


class SlurmStates:
    """The states of all jobs of a sweep, a few seconds old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, str] = {}
        self._asked = -REFRESH_SECONDS

    def find_state(self, slurm_id: str) -> str:
        """Return the state of a job, such as RUNNING; empty if Slurm does not know it, or does not answer."""
        with self._lock:
            is_new = slurm_id not in self._states
            self._states.setdefault(slurm_id, "")
            if is_new or time.monotonic() - self._asked > REFRESH_SECONDS:
                self._states = query_states([*self._states])
                self._asked = time.monotonic()
            return self._states[slurm_id]


def query_states(ids: list[str]) -> dict[str, str]:
    """Ask squeue and sacct for the states of jobs; empty for those that are not known."""
    listed = ",".join(ids)
    found = _parse(_ask("squeue", "--noheader", "--states=all", f"--jobs={listed}", "--format=%i|%T"))
    if any(slurm_id not in found for slurm_id in ids):
        words = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State", f"--jobs={listed}")
        found = _parse(_ask("sacct", *words)) | found
    return {slurm_id: found.get(slurm_id, "") for slurm_id in ids}


def describe_state(state: str, slurm_id: str, *, log: Path) -> AttemptEnd:
    """Say why a job is over that gave no result.

    Args:
        state: In Slurm's words.
        slurm_id: The job's id.
        log: What it printed.
    """
    if state in _AGAIN:
        return AttemptEnd("killed", f"Slurm job {slurm_id}: {_AGAIN[state]}", again=True)
    if state == "CANCELLED":
        return AttemptEnd("killed", f"Slurm job {slurm_id} was cancelled", again=False)
    if state == "OUT_OF_MEMORY":
        reason = f"Slurm job {slurm_id} ran out of memory: raise sweep.slurm.mem"
    else:
        last = _read_last_line(log)
        reason = f"Slurm job {slurm_id} ended as {state} without a result ({last}; all of it: {log})"
    return AttemptEnd("failed", reason, again=False)


def _parse(output: str) -> dict[str, str]:
    """Parse lines such as `17|CANCELLED by 1000`."""
    rows = (line.strip().split("|") for line in output.splitlines() if "|" in line)
    return {row[0]: row[1].split()[0].rstrip("+") for row in rows if row[1].split()}


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _read_last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "it printed nothing"

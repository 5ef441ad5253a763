"""What a Slurm job runs: the process of one job of a sweep, until it ends or Slurm announces the end.

Files tell the sweep what happens, so that a sweep whose process died finds its jobs again.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple, TextIO

from pipeline.storage.files import write_file
from pipeline.sweep.workers.node_process import NodePlace, NodeProcess

ALIVE_SECONDS: Final = 15.0
"""The file of events changes so often: a job whose file stays the same for long was lost."""
_POLL_SECONDS: Final = 0.5
_ID_VARIABLES: Final = ("SLURM_JOB_ID", "SUBMITIT_LOCAL_JOB_ID")


class SlurmJobFiles(NamedTuple):
    """The files of a Slurm job, in the folder of the sweep's job.

    Attributes:
        request: What it runs, with `NodePlace`; written before it is submitted.
        events: The lines that its process reported.
        stop: Its existence asks it to stop; its content is `stop` or `kill`.
    """

    request: Path
    events: Path
    stop: Path


def get_job_files(folder: Path, slurm_id: str) -> SlurmJobFiles:
    """Return the files of a Slurm job.

    Args:
        folder: Of the sweep's job.
        slurm_id: The id that Slurm gave it.
    """
    return SlurmJobFiles(
        folder / "request.json", folder / f"slurm-{slurm_id}.jsonl", folder / f"slurm-{slurm_id}.stop"
    )


def write_request(folder: Path, place: NodePlace, request: str) -> None:
    """Write what a Slurm job runs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(
        get_job_files(folder, "").request, json.dumps({"place": place, "request": request}, allow_nan=False)
    )


def run_slurm_job(folder: str) -> None:
    """Run a job of a sweep; called in a Slurm job, with the folder of the sweep's job."""
    slurm_id = next(os.environ[name] for name in _ID_VARIABLES if os.environ.get(name))
    _SlurmJobRun(get_job_files(Path(folder), slurm_id)).run()


class _SlurmJobRun:
    """Relays between the process of a job and the files by which the sweep follows it."""

    def __init__(self, files: SlurmJobFiles) -> None:
        self._files, self._asked, self._told = files, 0, 0
        self._touched = time.monotonic()
        values = json.loads(files.request.read_text("utf-8"))
        self._process, self._request = NodeProcess(values["place"]), values["request"]

    def run(self) -> None:
        """Run the job to its end."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            signal.signal(number, self._note_signal)  # over submitit's, which would submit the job again
        with self._files.events.open("a", encoding="utf-8") as events:
            events.write("{}\n")  # it has started
            events.flush()
            self._process.start(self._request)
            while self._relay(events):
                time.sleep(_POLL_SECONDS)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - of a handler
        self._asked = 1

    def _relay(self, events: TextIO) -> bool:
        """Write what the process reported, and pass on what it is asked; return whether it still runs."""
        lines, code = self._process.read_lines()
        if code:
            lost = f"its process ended with exit code {code}: {self._process.describe_end()}"
            lines.append(json.dumps({"lost": lost}, allow_nan=False))
        events.writelines(f"{line}\n" for line in lines)
        events.flush()
        if code is not None:
            return False
        if time.monotonic() - self._touched > ALIVE_SECONDS:  # the disk's clock may be another one
            os.utime(self._files.events)
            self._touched = time.monotonic()
        self._pass_on_stop()
        return True

    def _pass_on_stop(self) -> None:
        words = self._files.stop.read_text("utf-8") if self._files.stop.exists() else ""
        self._asked = max(self._asked, {"kill": 2, "stop": 1}.get(words, 0))
        if self._asked > self._told:
            self._told = self._asked
            self._process.stop(self._told > 1)

"""Run each job of a sweep as a Slurm job (`sweep.launcher=slurm`); the only module that imports submitit.

The nodes share the project's disk. The ids of the Slurm jobs are kept in the sweep's folder: a sweep whose
process died finds those that still run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.storage.files import write_file
from pipeline.sweep.job import SweepContext
from pipeline.sweep.launchers.cluster import AttemptEnd, WaitForStop
from pipeline.sweep.launchers.slurm_job import get_job_files, run_slurm_job, write_request
from pipeline.sweep.launchers.slurm_states import ALIVE_STATES, SlurmStates, describe_state
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.workers.job_request import JobRequest, format_request
from pipeline.sweep.workers.node_process import NodePlace

DEFAULT_CAPACITY: Final = 16
"""Slurm jobs at once with sweep.jobs=auto: a sampler learns from finished jobs."""
SILENT_SECONDS: Final = 120.0
"""A running job whose file of events does not change for so long is lost, unless Slurm knows its state."""
UNSTARTED_SECONDS: Final = 900.0
"""A job that has not started, and that Slurm has not known for so long, is lost."""
CONTACT_PAUSES: Final = (5.0, 15.0, 30.0, 60.0, 120.0)
"""Seconds between tries to submit a job while Slurm's controller is away, as when it restarts."""
_NO_CONTACT: Final = "Unable to contact slurm controller"
"""sbatch has submitted nothing then; after other errors, such as a timeout, the job may wait in the queue."""
CANCEL_SECONDS: Final = 60.0
"""The processes of a cancelled job have Slurm's KillWait, 30 s, to end."""
LATE_SECONDS: Final = 10.0
"""The result of a job may become visible so much later than its end, on a network disk."""


class SlurmCluster:
    """Submits jobs to Slurm; see `Cluster`."""

    def __init__(self, context: SweepContext, settings: SweepSettings) -> None:
        """Check that Slurm, or with `sweep.slurm.cluster=local` this machine, takes jobs.

        Raises:
            UserError: submitit is not installed, there is no Slurm here, or it has no such option.
        """
        self._context, self._settings = context, settings
        self._submitit = _import_submitit()
        options = dict(settings.slurm)
        self._is_local = options.pop("cluster", "slurm") == "local"
        self._executor = self._create_executor(options)
        self._states = SlurmStates()
        self._lock = threading.Lock()
        self._file = context.folder / "slurm.json"
        self._records: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}

    @property
    def capacity(self) -> int:
        """How many jobs may wait or run at once: sweep.jobs."""
        return DEFAULT_CAPACITY if self._settings.jobs == "auto" else self._settings.jobs

    def submit(self, request: JobRequest, wait_for_stop: WaitForStop) -> SlurmAttempt | None:
        """Submit a job, or find the Slurm job that an earlier process of this sweep submitted for it.

        None where the job was told to end before Slurm took it; see `Cluster`.

        Raises:
            UserError: Slurm refused it; the sentence has Slurm's reason.
        """
        key, what = str(request.job.number), [request.job.experiment, *request.job.overrides]
        folder = self._context.get_job_folder(request.job.number)
        with self._lock:
            record = self._records.get(key)
            if record is not None and record["what"] == what:
                return SlurmAttempt(self, self._find_job(record["id"]), folder, key)
            if record is not None:
                self._find_job(record["id"]).cancel(check=False)
            write_request(folder, self._build_place(), format_request(request))
            job = self._submit(folder, wait_for_stop)
            if job is None:
                return None
            self._records[key] = {"id": job.job_id, "what": what}
            self._save()
        return SlurmAttempt(self, job, folder, key)

    def find_state(self, job: Any) -> str:
        """Return the state of a job in Slurm's words; empty if it is not known."""
        if not self._is_local:
            return self._states.find_state(job.job_id)
        return "" if job.state.startswith("NO PROCESS") else str(job.state)

    @property
    def late_seconds(self) -> float:
        """How much later than its end a result may become visible."""
        return 0.0 if self._is_local else LATE_SECONDS

    def forget(self, key: str, job: Any) -> None:
        """Forget a job that has ended; one of this machine is waited for, as for any child process."""
        end = time.monotonic() + LATE_SECONDS
        while self._is_local and job.state == "RUNNING" and time.monotonic() < end:
            time.sleep(0.05)
        with self._lock:
            self._records.pop(key, None)
            self._save()

    def close(self) -> None:
        """Cancel jobs of an earlier process of this sweep that this one did not ask for."""
        for key, record in list(self._records.items()):
            folder = self._context.get_job_folder(int(key))
            SlurmAttempt(self, self._find_job(record["id"]), folder, key).release()

    def _create_executor(self, options: dict[str, Any]) -> Any:
        folder = self._context.folder / "slurm"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if self._is_local:
                executor = self._submitit.LocalExecutor(folder=folder)
                executor.update_parameters(**options)
                return executor
            executor = self._submitit.SlurmExecutor(folder=folder, max_num_timeout=0)
            executor.update_parameters(**self._build_parameters(options, executor._valid_parameters()))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"sweep.launcher=slurm cannot submit jobs from this machine ({reason}): start the sweep on a "
                "machine with sbatch and srun, or set sweep.launcher=local"
            ) from None
        return executor

    def _build_parameters(self, options: dict[str, Any], known: set[str]) -> dict[str, Any]:
        """Sort options into those that submitit names, and further ones of sbatch."""
        named = {key: value for key, value in options.items() if key in known}
        further = {key: value for key, value in options.items() if key not in known}
        own = {"chdir": str(self._context.project), "no-requeue": True}
        return {
            "job_name": f"finetrack-{self._context.name}",
            "time": None,  # submitit's default is 5 minutes, Slurm's is that of the partition
            "stderr_to_stdout": True,
            **named,
            "additional_parameters": own | further,
        }

    def _submit(self, folder: Path, wait_for_stop: WaitForStop) -> Any | None:
        """Return the Slurm job; None where the job was told to end, also while others were submitted."""
        pauses = iter(CONTACT_PAUSES)
        pause = 0.0
        while not wait_for_stop(pause):
            try:
                return self._submit_once(folder)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                following = next(pauses, None) if _NO_CONTACT in str(error) else None
                if following is None:
                    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
                    raise UserError(
                        f"Slurm refused the job ({(lines or ['no reason given'])[-1]}): check sweep.slurm"
                    ) from None
                pause = following
        return None

    def _submit_once(self, folder: Path) -> Any:
        from submitit.core.utils import environment_variables

        with environment_variables(PYTHONPATH=str(self._context.project)):
            return self._executor.submit(run_slurm_job, str(folder))

    def _find_job(self, slurm_id: str) -> Any:
        kind = self._submitit.LocalJob if self._is_local else self._submitit.SlurmJob
        return kind(folder=self._executor.folder, job_id=slurm_id)

    def _build_place(self) -> NodePlace:
        return NodePlace(str(self._context.project), sys.executable, str(self._file), {})

    def _save(self) -> None:
        write_file(self._file, json.dumps(self._records, allow_nan=False))


class SlurmAttempt:
    """One Slurm job; see `ClusterAttempt`."""

    def __init__(self, cluster: SlurmCluster, job: Any, folder: Path, key: str) -> None:
        self._cluster, self._job, self._key = cluster, job, key
        self._files = get_job_files(folder, job.job_id)
        self._offset, self._ended = 0, False
        self._lost: str | None = None
        self._known = time.monotonic()
        self._over: float | None = None
        self._seen = (0, 0)
        self._changed = self._known

    def read_lines(self) -> list[str]:
        """Return the whole lines that were added to the file of events since the last call."""
        try:
            with self._files.events.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
        except OSError:  # it has not started
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        for line in lines:
            if line.startswith('{"lost"'):
                with suppress(ValueError):
                    self._lost = json.loads(line)["lost"]
        return lines

    def find_end(self) -> AttemptEnd | None:
        """Return why it is over without a result; None while it waits or runs."""
        if self._lost is not None:
            self._ended = True
            again = "exit code -9" in self._lost
            return AttemptEnd("killed" if again else "failed", self._lost, again)
        state = self._cluster.find_state(self._job)
        if state in ALIVE_STATES:
            self._known, self._over = time.monotonic(), None
            return None
        if state:
            self._over = time.monotonic() if self._over is None else self._over
            late = time.monotonic() - self._over >= self._cluster.late_seconds
            self._ended = late
            return describe_state(state, self._job.job_id, log=self._job.paths.stdout) if late else None
        return self._find_silence()

    def was_cancelled(self) -> bool:
        """Return whether somebody cancelled it; Slurm says so when all of its processes have ended."""
        end = time.monotonic() + CANCEL_SECONDS
        while (state := self._cluster.find_state(self._job)) in ALIVE_STATES and time.monotonic() < end:
            time.sleep(1.0)
        return state == "CANCELLED"

    def stop(self, *, force: bool) -> None:
        """Ask it by a file to write its checkpoint and end; cancel it if it has not started, or by force."""
        write_file(self._files.stop, "kill" if force else "stop")
        if force or not self._files.events.exists():
            self._job.cancel(check=False)

    def release(self) -> None:
        """Cancel what may still run, and forget it."""
        if not self._has_result():
            write_file(self._files.stop, "kill")  # for processes that Slurm lost sight of
            if not self._ended:
                self._job.cancel(check=False)
        self._cluster.forget(self._key, self._job)

    def _has_result(self) -> bool:
        try:
            return '{"result"' in self._files.events.read_text("utf-8", "replace")
        except OSError:
            return False

    def _find_silence(self) -> AttemptEnd | None:
        """Judge a job that Slurm does not know, or does not answer about, by its file of events.

        The times of the file are those of another machine's clock: only whether they change counts.
        """
        now = time.monotonic()
        try:
            facts = self._files.events.stat()
        except OSError:
            is_lost = now - self._known > UNSTARTED_SECONDS
        else:
            if self._seen != (seen := (facts.st_mtime_ns, facts.st_size)):
                self._seen, self._changed = seen, now
            is_lost = now - self._changed > SILENT_SECONDS
        if not is_lost:
            return None
        reason = f"Slurm does not know job {self._job.job_id} any more, and it gave no sign of life"
        return AttemptEnd("killed", reason, again=True)


def _import_submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError:
        raise UserError(
            "sweep.launcher=slurm needs submitit, which requirements.lock holds: run `make setup`, or set "
            "sweep.launcher=local"
        ) from None
    return submitit

"""Run jobs on this machine, several at once: each in a workspace and on a share of the machine of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from queue import Queue
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.fork_server.messages import ADDRESS_VARIABLE
from pipeline.runtime.fork_server.processes import ForkServer, start_fork_server
from pipeline.sweep.job import JobEnded, JobResult, StageBegan, SweepContext, SweepEvent, SweepJob
from pipeline.sweep.launchers.memory_use import MemoryUse
from pipeline.sweep.launchers.resources import ResourcePlan, plan_resources, read_machine
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.workers.job_environment import build_environment
from pipeline.sweep.workers.job_process import JobProcess
from pipeline.sweep.workers.run_job import STOPPED, JobControl, run_job
from pipeline.sweep.workspaces.workspace import Workspace, hold_workspace, prepare_workspace

LOOKAHEAD: Final = 2
"""So many jobs more are taken while some wait for shared images: they may be of other images."""


TRAINED: Final = ("trained", "pruned")
"""Jobs that ended so show how much memory a training needs."""


@dataclass
class _Slot:
    """A share of the machine with its workspace."""

    number: int
    workspace: Workspace | None = None
    shared: str | None = None


@dataclass
class _RunningJob:
    """A job that has a slot."""

    job: SweepJob
    slot: _Slot
    process: JobProcess
    thread: threading.Thread | None = None
    trains_since: float | None = field(default=None)


class LocalLauncher:
    """Runs jobs in threads that wait for their processes; see `Launcher`.

    Of jobs that share images, the first one runs alone until its finetune begins: DVC restores them for the
    others then, instead of making them twice.

    Attributes:
        notes: Sentences for the user about what the jobs share.
    """

    def __init__(
        self,
        context: SweepContext,
        settings: SweepSettings,
        events: Queue[SweepEvent],
        *,
        device: Any = None,
        get_variables: Callable[[SweepJob], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """Share out the machine; nothing is started but fork servers.

        Args:
            context: Of the sweep.
            settings: `jobs` is how many run at once.
            events: Gets `StageBegan` and `JobEnded`.
            device: finetune.device.
            get_variables: Called for each job; further environment variables of its processes.

        Raises:
            UserError: There are fewer cores than jobs, or another process works in the workspaces.
        """
        machine = read_machine()
        self._plan: ResourcePlan = plan_resources(settings.jobs, machine, device=device)
        self._memory = MemoryUse(machine.memory, limits=settings.jobs == "auto")
        self._context, self._events, self._get_variables = context, events, get_variables
        self._free = [_Slot(number) for number in range(len(self._plan.shares))]
        self._waiting: list[SweepJob] = []
        self._running: dict[int, _RunningJob] = {}
        self._makers: dict[str, int] = {}
        self._made: set[str] = set()
        self._lock = threading.RLock()
        self._held = ExitStack()
        self._server: ForkServer | None = None
        self.notes = self._plan.notes

    @property
    def capacity(self) -> int:
        """How many jobs may be started: those that run, those that wait for shared images, and a few more."""
        with self._lock:
            self._note_memory()
            self._start_waiting()
            fitting = min(len(self._plan.shares), self._memory.count_fitting_jobs())
            waiting = len(self._waiting)
            return max(fitting, len(self._running)) + min(waiting, LOOKAHEAD)

    def start(self, job: SweepJob) -> None:
        """Start a job as soon as a slot, memory and its images allow; it ends with exactly one `JobEnded`."""
        with self._lock:
            self._waiting.append(job)
            self._start_waiting()

    def stop(self, number: int, *, force: bool) -> None:
        """Ask a job to write its checkpoint and end, or with `force` kill its processes."""
        with self._lock:
            waiting = next((job for job in self._waiting if job.number == number), None)
            if waiting is not None:
                self._waiting.remove(waiting)
                self._events.put(JobEnded(number, JobResult(waiting, "killed", reason=STOPPED)))
            elif number in self._running:
                self._running[number].process.stop(force=force)

    def close(self) -> None:
        """Kill what still runs, and release workspaces and fork servers."""
        with self._lock:
            running = [*self._running.values()]
            for number in [job.number for job in self._waiting] + [*self._running]:
                self.stop(number, force=True)
        for each in running:
            if each.thread is not None:
                each.thread.join()
        if self._server is not None:
            self._server.close()
        self._held.close()

    def _note_memory(self) -> None:
        for running in self._running.values():
            if running.trains_since is not None:
                self._memory.note_training(
                    running.job.number, running.process.peak_bytes, time.monotonic() - running.trains_since
                )

    def _start_waiting(self) -> None:
        for job in [*self._waiting]:
            if not self._free or len(self._running) >= self._memory.count_fitting_jobs():
                return
            if job.shared in self._made or self._makers.setdefault(job.shared, job.number) == job.number:
                self._waiting.remove(job)
                self._start_in_slot(job)

    def _start_in_slot(self, job: SweepJob) -> None:
        """Start a job, where possible in the workspace that has its images already."""
        slot = min(self._free, key=lambda slot: (slot.shared != job.shared, slot.number))
        self._free.remove(slot)
        process = JobProcess(measures_memory=self._memory.limits)
        running = _RunningJob(job, slot, process)
        self._running[job.number] = running
        name = f"finetrack-job-{job.number}"
        running.thread = threading.Thread(target=self._run, args=(running,), name=name, daemon=True)
        running.thread.start()

    def _run(self, running: _RunningJob) -> None:
        """Run a job in this thread, and free its slot; a thread that dies would leave the sweep waiting."""
        try:
            result = self._run_in_workspace(running)
        except UserError as error:
            result = JobResult(running.job, "failed", reason=str(error))
        except Exception as error:
            reason = describe_machine_error(error) or f"{type(error).__name__}: {error}"
            result = JobResult(running.job, "failed", reason=reason)
        with self._lock:
            if running.trains_since is not None and result.status in TRAINED:
                self._memory.note_end(running.process.peak_bytes)
            del self._running[running.job.number]
            self._release_shared(running.job, made=False)
            self._free.append(running.slot)
            self._start_waiting()
        self._events.put(JobEnded(running.job.number, result))

    def _run_in_workspace(self, running: _RunningJob) -> JobResult:
        job, slot = running.job, running.slot
        workspace = self._open_workspace(slot)
        variables = {**self._name_server(workspace, job), **self._get_variables(job)}
        control = JobControl(running.process, partial(self._take_stage, running), variables)
        slot.shared = job.shared
        return run_job(
            job,
            self._context,
            workspace=workspace,
            share=self._plan.shares[slot.number],
            control=control,
        )

    def _open_workspace(self, slot: _Slot) -> Workspace:
        """Create or repair the workspace of a slot; it is held until `close`."""
        if slot.workspace is None:
            with ExitStack() as opened:
                slot.workspace = opened.enter_context(hold_workspace(self._context, str(slot.number)))
                with self._lock:
                    self._held.push(opened.pop_all())
        return slot.workspace

    def _name_server(self, workspace: Workspace, job: SweepJob) -> dict[str, str]:
        """Return the variable that names the fork servers; the first job starts them from its workspace.

        Where it is set already, none are started; set to nothing, each process imports what it needs.
        """
        environment = build_environment(self._context)
        if ADDRESS_VARIABLE in environment:
            return {}
        with self._lock:
            if self._server is None:
                prepare_workspace(workspace, job, self._context)
                self._server = start_fork_server(
                    self._context.folder / "fork_server",
                    code=workspace.folder,
                    environment=environment,
                )
            return {ADDRESS_VARIABLE: self._server.address} if self._server.address else {}

    def _take_stage(self, running: _RunningJob, event: StageBegan) -> None:
        if event.stage == "finetune":
            with self._lock:
                running.trains_since = None if event.restored else time.monotonic()
                self._release_shared(running.job, made=True)
                self._start_waiting()
        self._events.put(event)

    def _release_shared(self, job: SweepJob, *, made: bool) -> None:
        """Let other jobs with the same images start: they are made, or another job has to make them."""
        if made:
            self._made.add(job.shared)
        if self._makers.get(job.shared) == job.number:
            del self._makers[job.shared]

"""Find runs that MLflow shows as RUNNING although their process has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.records.journals import choose_sending, is_readable, send_journals
from pipeline.tracking.recovery import identify_machine, is_process_gone
from pipeline.tracking.store.run_tags import PROCESS_TAG
from pipeline.tracking.store.tracked_runs import TrackedRun

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject


def check_open_runs(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find runs of processes of this machine that have ended; other machines cannot be asked."""
    if not is_readable(project) or project.runs is None:
        yield CheckFinding("ok", "no runs to check")
        return
    running = project.runs.list_running()
    dead = [run for run in running if is_process_gone(run.tags.get(PROCESS_TAG, ""))]
    if dead:
        names = ", ".join(f"{run.name or run.run_id[:8]} ({run.run_id[:8]})" for run in dead[:3])
        what = format_count(len(dead), "run is", "runs are")
        seen = f"{what} RUNNING in MLflow, and the process has ended: {names}"
        advice = "run `finetrack send`, which closes them as KILLED; each stage does it, too"
        repair = partial(_close_runs, project, dead) if choose_sending(project) else None
        yield CheckFinding("warning", seen, advice, repair)
    else:
        yield CheckFinding("ok", _describe_running(running))


def _close_runs(project: ExaminedProject, runs: Sequence[TrackedRun]) -> str:
    """Close the runs of processes that have ended, and send their messages."""
    send_journals(project)
    names = ", ".join(run.name or run.run_id[:8] for run in runs[:3])
    return f"closed {format_count(len(runs), 'run')} as KILLED: {names}"


def _describe_running(runs: Sequence[TrackedRun]) -> str:
    """Say how many runs are running, and how many of them elsewhere."""
    if not runs:
        return "no run is RUNNING"
    here = sum(run.tags.get(PROCESS_TAG, "").startswith(identify_machine()) for run in runs)
    elsewhere = len(runs) - here
    more = f", {elsewhere} of them not by this machine, which cannot be checked" if elsewhere else ""
    return f"{format_count(len(runs), 'run is', 'runs are')} RUNNING{more}"

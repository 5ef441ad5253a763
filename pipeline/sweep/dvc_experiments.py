"""Run DVC experiments by DVC's command line, each in a temporary folder, and read their results.

The processes of a job (dvc, the stages' shells, the stages) form one process group, so that stopping the
sweep stops all of them. Killing dvc alone would leave a training running.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, TRAINING_METRICS_FILE
from pipeline.storage.dvc_repository import read_file_at_revision
from pipeline.sweep.workers.job_output import JobOutput

STOP_SIGNALS = ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
"""Signals that stop a job, each with seconds to wait: SIGINT first, so that its run ends as KILLED."""


def list_untracked_files(*folders: str) -> list[str]:
    """List untracked files: experiments miss them, since they run in a copy of what git tracks."""
    return (_run_git("ls-files", "--others", "--exclude-standard", "--", *folders) or "").splitlines()


def run_experiment(
    name: str,
    overrides: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    tell: Callable[[str], None],
) -> str | None:
    """Run one experiment in a temporary folder.

    Args:
        name: The experiment's name.
        overrides: As Hydra takes them.
        log: The file for all of its output.
        environment: Variables added to the current environment.
        tell: Called with a line whenever a stage begins.

    Returns:
        Why it failed, in one sentence; None if it succeeded.
    """
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name]
    for override in overrides:
        command += ["--set-param", override]
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    child = subprocess.Popen(
        command,
        env={**os.environ, **environment, "PATH": beside, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        start_new_session=True,
    )
    try:
        return _wait_for(child, log, tell)
    finally:
        _stop_process_group(child)


def find_experiment_commit(name: str) -> str | None:
    """Return the commit of an experiment; None if there is none of this name."""
    found = _run_git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}")
    return found.split()[0] if found else None


def read_training_metrics(revision: str) -> dict[str, Any]:
    """Read reports/training.json of an experiment."""
    text = _run_git("show", f"{revision}:./{TRAINING_METRICS_FILE.as_posix()}")
    if text is None:
        raise UserError(
            f"experiment {revision[:7]} has no {TRAINING_METRICS_FILE}: it did not reach finetune"
        )
    return dict(json.loads(text))


def read_run_info(revision: str) -> dict[str, Any]:
    """Read run.json of an experiment: task and MLflow run of its weights; empty if it cannot be read."""
    with contextlib.suppress(Exception):  # DVC's errors are many, and a table without these is still one
        return dict(json.loads(read_file_at_revision(FINETUNED_FOLDER / "run.json", revision)))
    return {}


def _wait_for(child: subprocess.Popen[str], log: Path, tell: Callable[[str], None]) -> str | None:
    """Wait for a job; return why it failed, or None if it succeeded.

    A thread reads its output, and waiting polls: libraries that are loaded here let a blocked read continue
    after Ctrl-C, which would then take effect only at the job's next line.
    """
    output = JobOutput()
    reader = Thread(target=_copy_output, args=(child, log, tell, output), daemon=True)
    reader.start()
    while child.poll() is None:
        time.sleep(0.1)
    reader.join(5.0)
    return f"{output.explain_failure(child.returncode)} (all of it: {log})" if child.returncode else None


def _copy_output(
    child: subprocess.Popen[str], log: Path, tell: Callable[[str], None], output: JobOutput
) -> None:
    """Copy a job's output to its log, and note why it failed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        for line in child.stdout or ():
            file.write(line)
            file.flush()
            text = line.strip()
            if text.startswith(("Running stage", "Stage '")):
                tell(text.rstrip(":"))
            output.add_line(line.rstrip())


def _stop_process_group(child: subprocess.Popen[str]) -> None:
    """Stop a job's process group; another Ctrl-C skips to the next signal."""
    for sign, seconds in STOP_SIGNALS:
        try:
            if _has_ended(child):
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
            end = time.monotonic() + seconds
            while not _has_ended(child) and time.monotonic() < end:
                time.sleep(0.1)
        except KeyboardInterrupt:
            continue


def _has_ended(child: subprocess.Popen[str]) -> bool:
    """Return whether all processes of a job's group have ended."""
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

"""DVC experiments by their command line: run one in a folder of its own, and read what it brought.

A job's processes (dvc, the stages' shells, the stages) form one group: whoever stops the sweep stops all
of them, where killing dvc alone would leave a training behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED, TRAINING_METRICS

GRACE = ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
"""How a job is stopped: asked as by Ctrl-C, so that its run ends as KILLED, then told, then killed."""
SAID = re.compile(r"(?:compose|prepare|augment|finetune|evaluate): \S.*")


def require_commit() -> None:
    """Refuse to start where git has nothing that DVC could base an experiment on."""
    if _git("rev-parse", "--verify", "--quiet", "HEAD") is None:
        raise UserError(
            "a sweep needs a git commit to start from: run `git init && git add -A && git commit -m start`"
        )


def untracked(*folders: str) -> list[str]:
    """List files that experiments would miss, since they run in a copy of what git tracks."""
    return (_git("ls-files", "--others", "--exclude-standard", "--", *folders) or "").splitlines()


def run(
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
        log: Gets everything that it writes.
        environment: Set beside the present environment.
        tell: Gets a line whenever a stage begins.

    Returns:
        Why it failed, in one sentence; None where it succeeded.
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
        errors="replace",
        start_new_session=True,
    )
    try:
        return _follow(child, log, tell)
    finally:
        _stop(child)


def commit(name: str) -> str | None:
    """Return the commit of an experiment; None where there is none of this name."""
    found = _git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}")
    return found.split()[0] if found else None


def training(revision: str) -> dict[str, Any]:
    """Read reports/training.json as an experiment left it."""
    text = _git("show", f"{revision}:./{TRAINING_METRICS.as_posix()}")
    if text is None:
        raise UserError(
            f"experiment {revision[:7]} has no {TRAINING_METRICS}: it did not get as far as finetune"
        )
    return dict(json.loads(text))


def made(revision: str) -> dict[str, Any]:
    """Read what an experiment's weights are: their task, their MLflow run; empty where it is not known."""
    import dvc.api

    with contextlib.suppress(Exception):  # DVC's errors are many, and a table without these is still one
        return dict(json.loads(dvc.api.read(str(FINETUNED / "run.json"), rev=revision)))
    return {}


def _follow(child: subprocess.Popen[str], log: Path, tell: Callable[[str], None]) -> str | None:
    """Wait for a job, and say why it gave up; None where it did not.

    Its output is read in a thread, and waiting wakes up now and then: libraries that are loaded here let a
    blocked read go on after Ctrl-C, which would then be noticed only at the job's next word.
    """
    reasons = ["it ended without a word"]
    reader = Thread(target=_copy, args=(child, log, tell, reasons), daemon=True)
    reader.start()
    while child.poll() is None:
        time.sleep(0.1)
    reader.join(5.0)
    return f"{reasons[-1]} (all of it: {log})" if child.returncode else None


def _copy(child: subprocess.Popen[str], log: Path, tell: Callable[[str], None], reasons: list[str]) -> None:
    """Copy what a job says to its log, and note the sentence of a stage that gives up."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        for line in child.stdout or ():
            file.write(line)
            file.flush()
            text = line.strip()
            if text.startswith(("Running stage", "Stage '")):
                tell(text.rstrip(":"))
            if SAID.fullmatch(text) or (text.startswith("ERROR: ") and "failed to reproduce" not in text):
                reasons.append(text.removeprefix("ERROR: "))


def _stop(child: subprocess.Popen[str]) -> None:
    """End a job's group, if any of it is left; who presses Ctrl-C again gets there faster."""
    for sign, seconds in GRACE:
        try:
            if _gone(child):
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
            end = time.monotonic() + seconds
            while not _gone(child) and time.monotonic() < end:
                time.sleep(0.1)
        except KeyboardInterrupt:
            continue


def _gone(child: subprocess.Popen[str]) -> bool:
    """Tell whether no process of a job's group is left."""
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

"""Remove the experiments of a sweep that are not kept, and count what DVC could delete of its cache then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.storage.dvc_remotes.dvc_settings import read_dvc_settings
from pipeline.storage.git_history import list_experiments

GC_COMMAND: Final = ("dvc", "gc", "--all-commits", "--all-experiments")
"""Deletes what no commit, no experiment and not the workspace uses. `--workspace` instead of `--all-commits`
would delete the results of other commits."""
_REMOVING: Final = "Removing "
_MAX_NAMES: Final = 200
"""Experiments that are removed by one command."""
_MAX_SECONDS: Final = 120.0
"""Seconds that counting may take: DVC reads every commit of the history."""


class CleanupReport(NamedTuple):
    """What a sweep removed.

    Attributes:
        removed: The names of the experiments that were removed.
        freed: Bytes of the cache that `GC_COMMAND` would free now; None where DVC could not say.
        shared_cache: The cache, where it is not in the project: others may use it, and `GC_COMMAND` would
            delete what is theirs. None for a cache in the project.
    """

    removed: tuple[str, ...]
    freed: int | None
    shared_cache: Path | None = None


def remove_experiments(names: Sequence[str], *, keep: Collection[str], project: Path) -> CleanupReport:
    """Remove experiments of a sweep. Nothing is deleted from DVC's cache, and no run from MLflow.

    Args:
        names: Of the sweep's experiments; those that do not exist are left out.
        keep: The names of those that stay.
        project: The project's folder.

    Raises:
        UserError: DVC cannot remove them; it says why.
    """
    wanted = [name for name in dict.fromkeys(names) if name not in keep]
    known = {experiment.name for experiment in list_experiments(project)}
    existing = [name for name in wanted if name in known]
    for start in range(0, len(existing), _MAX_NAMES):
        _run_dvc(project, "exp", "remove", *existing[start : start + _MAX_NAMES])
    cache = read_dvc_settings(project).cache.resolve()
    if not cache.is_relative_to(project.resolve()):
        return CleanupReport(tuple(existing), None, cache)
    return CleanupReport(tuple(existing), measure_unused_cache(project))


def describe_cleanup(report: CleanupReport) -> str:
    """Return what was removed, and the command that frees the space, in one sentence."""
    count = format_count(len(report.removed), "other experiment was", "other experiments were")
    removed = count if report.removed else "no other experiment was"
    command = f"`{' '.join(GC_COMMAND)}`"
    if report.shared_cache is not None:
        return (
            f"{removed} removed (sweep.keep=best); others may use the cache {report.shared_cache}: "
            f"`{' '.join(GC_COMMAND)} --projects PATH ...` frees what neither this project uses nor those "
            "at PATH, which must be all of the others"
        )
    if report.freed is None:
        return f"{removed} removed (sweep.keep=best); {command} frees what nothing uses in DVC's cache"
    return (
        f"{removed} removed (sweep.keep=best); {command} would free {format_bytes(report.freed)} of the cache"
    )


def measure_unused_cache(project: Path) -> int | None:
    """Return how many bytes of the cache `GC_COMMAND` would free, by its dry run; None if it fails.

    Files with a further link on the disk are not counted: their space stays in use.
    """
    try:
        output = _run_dvc(project, *GC_COMMAND[1:], "--dry", seconds=_MAX_SECONDS)
    except (UserError, subprocess.TimeoutExpired):
        return None
    lines = (line.strip() for line in output.splitlines())
    paths = {Path(line.removeprefix(_REMOVING)) for line in lines if line.startswith(_REMOVING)}
    return sum(map(_measure_file, paths))


def format_bytes(count: int) -> str:
    """Format a number of bytes: `0 bytes`, `12 MB`, `3.4 GB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return format_count(count, "byte")


def _measure_file(path: Path) -> int:
    try:
        facts = path.lstat()
    except OSError:
        return 0
    return facts.st_size if facts.st_nlink == 1 else 0


def _run_dvc(project: Path, *words: str, seconds: float | None = None) -> str:
    """Run a command of DVC, for at most so many seconds; return its output.

    Raises:
        UserError: It failed.
    """
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(
        command,
        cwd=project,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
        raise UserError(f"`dvc {' '.join(words[:2])}` failed: {reason}")
    return done.stdout

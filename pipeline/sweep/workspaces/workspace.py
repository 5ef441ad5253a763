"""A workspace of a sweep: a clone of the project in which one job after the other runs as a DVC experiment.

A clone has its own index, references and locks, so that jobs do not wait for one another, and takes the
objects of git and DVC's cache from the project. Prepared images stay in it from one job to the next.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.dataset.link_cache import name_link_cache
from pipeline.storage.dvc_remotes.shared_settings import share_dvc_settings
from pipeline.storage.git_commands import copy_git_settings, run_git
from pipeline.storage.scratch_folder import SCRATCH_FOLDER
from pipeline.sweep.job import SweepContext, SweepJob
from pipeline.sweep.workspaces.leftover_processes import end_leftover_processes
from pipeline.sweep.workspaces.shared_results import read_shared_results, write_shared_results
from pipeline.sweep.workspaces.stale_results import remove_results_of_other_stages

WORKSPACES: Final = "workspaces"
LOCK_SECONDS: Final = 60.0
"""How long the processes of a killed sweep may take to end."""


class Workspace(NamedTuple):
    """A workspace that this process holds.

    Attributes:
        clone: The folder of the clone.
        folder: The project's folder in it; the same, unless the project is part of a larger repository.
        lock: The handle of the lock; a process that inherits it holds the lock, too.
    """

    clone: Path
    folder: Path
    lock: int


@contextmanager
def hold_workspace(context: SweepContext, slot: str) -> Iterator[Workspace]:
    """Hold a workspace during the block; it is created, or repaired after a crash.

    Args:
        context: Of the sweep.
        slot: The name of the workspace.

    Raises:
        UserError: Processes of another sweep are in it, or git cannot clone the project.
    """
    place = context.folder / WORKSPACES
    place.mkdir(parents=True, exist_ok=True)
    lock = _lock(place / f"{slot}.lock", seconds=LOCK_SECONDS)
    try:
        clone = place / slot
        end_leftover_processes(clone)
        prefix = run_git(context.project, "rev-parse", "--show-prefix")
        if not _is_whole(clone, context.commit):
            _create_clone(context, clone, prefix)
        yield Workspace(clone, clone / prefix, lock)
    finally:
        os.close(lock)


def prepare_workspace(workspace: Workspace, job: SweepJob, context: SweepContext) -> None:
    """Give a workspace the files that the sweep started from, without results of other trainings.

    Prepared images, and what DVC has recorded of them, stay from the last job if the job shares them.

    Args:
        workspace: Where no process of a job runs.
        job: That comes next.
        context: Of the sweep.
    """
    _remove_locks(workspace)
    _remove_experiments(workspace.clone)
    shared = read_shared_results(workspace.folder, job, commit=context.commit)
    run_git(workspace.clone, "update-ref", "--no-deref", "HEAD", context.baseline or context.commit)
    run_git(workspace.clone, "read-tree", "--reset", "-u", context.commit)
    run_git(workspace.clone, "clean", "-ffdq")
    write_shared_results(workspace.folder, shared)
    remove_results_of_other_stages(workspace.folder, job.last_stage)
    run_git(workspace.clone, "add", "--update")  # DVC's stash fails where index and files differ


def collect_experiment(workspace: Workspace, name: str, project: Path) -> str | None:
    """Fetch an experiment into the project, where it replaces one of the same name and commit.

    Returns:
        Its commit; None if the workspace has no experiment of this name.

    Raises:
        GitError: Git cannot fetch it.
    """
    found = run_git(workspace.clone, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/*/*/*")
    rows = [line.split(" ", 1) for line in found.splitlines()]
    for commit, reference in rows:
        if reference.rpartition("/")[2] == name:
            options = ("--quiet", "--no-write-fetch-head", "--no-tags", "--force")
            run_git(project, "fetch", *options, str(workspace.clone), f"{reference}:{reference}")
            return commit
    return None


def delete_workspaces(context: SweepContext) -> None:
    """Delete the workspaces of a sweep; one that another process holds stays."""
    place = context.folder / WORKSPACES
    for clone in [path for path in place.glob("*") if path.is_dir() and not path.is_symlink()]:
        with suppress(UserError):
            lock = _lock(clone.with_name(f"{clone.name}.lock"), seconds=0.0)
            try:
                end_leftover_processes(clone)
                _delete(context, clone)
            finally:
                os.close(lock)


def _delete(context: SweepContext, clone: Path) -> None:
    folder = clone / run_git(context.project, "rev-parse", "--show-prefix")
    cache = context.project / SCRATCH_FOLDER / "placed" / name_link_cache(folder)
    shutil.rmtree(cache, ignore_errors=True)
    shutil.rmtree(clone, ignore_errors=True)
    with suppress(OSError):
        clone.with_name(f"{clone.name}.lock").unlink()


def _lock(path: Path, *, seconds: float) -> int:
    """Lock a file; processes of a killed sweep that still end hold it, too.

    Raises:
        UserError: It stays locked for so many seconds.
    """
    import fcntl

    end = time.monotonic() + seconds
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() >= end:
                raise UserError(
                    f"another process is at work in {path.with_suffix('')}: wait for it to end, or stop it, "
                    "then run again"
                ) from None
            time.sleep(0.2)
        except OSError:  # this disk has no locks
            return handle
        else:
            if _is_file(handle, path):
                return handle
            os.close(handle)  # it was deleted meanwhile, and another process may lock the new one


def _is_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _is_whole(clone: Path, commit: str) -> bool:
    """Check a clone that an earlier sweep left: a clone gets its name when it is complete.

    It finds the objects of the project by an absolute path, which is wrong once the project was moved.
    """
    try:
        run_git(clone, "rev-parse", "--git-dir")
        run_git(clone, "cat-file", "-e", f"{commit}^{{commit}}")
        return Path(run_git(clone, "rev-parse", "--show-toplevel")).samefile(clone)
    except (UserError, OSError):
        return False


def _create_clone(context: SweepContext, clone: Path, prefix: str) -> None:
    shutil.rmtree(clone, ignore_errors=True)
    made = clone.with_name(f".{clone.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    top = run_git(context.project, "rev-parse", "--show-toplevel")
    run_git(clone.parent, "clone", "--quiet", "--shared", "--no-checkout", "--no-tags", top, str(made))
    _configure_git(Path(top), made)
    run_git(made, "update-ref", "--no-deref", "HEAD", context.baseline or context.commit)
    run_git(made, "read-tree", "--reset", "-u", context.commit)
    share_dvc_settings(context.project, made / prefix)  # relative paths stay the same beside it
    made.rename(clone)


def _configure_git(top: Path, clone: Path) -> None:
    """Let git commit and check out as in the project, without hooks: DVC's own ones run DVC again."""
    settings = {"core.hooksPath": os.devnull, "gc.auto": "0"}
    for key, value in {"user.name": "finetrack", "user.email": "finetrack@localhost"}.items():
        settings[key] = _get_setting(top, key) or value
    for key, value in settings.items():
        run_git(clone, "config", key, value)
    copy_git_settings(top, clone)


def _get_setting(folder: Path, key: str) -> str:
    try:
        return run_git(folder, "config", key)
    except UserError:
        return ""


def _remove_locks(workspace: Workspace) -> None:
    """Remove what a killed git or DVC left locked; nobody else works in a workspace that is held."""
    git = workspace.clone / ".git"
    for path in [*git.glob("*.lock"), *(git / "refs").rglob("*.lock")]:
        path.unlink(missing_ok=True)
    scratch = workspace.folder / ".dvc/tmp"
    for name in ("lock", "rwlock", "rwlock.lock"):
        (scratch / name).unlink(missing_ok=True)
    shutil.rmtree(scratch / "exps", ignore_errors=True)


def _remove_experiments(clone: Path) -> None:
    """Remove experiments and the references that DVC needs while it runs one."""
    for folder in ("refs/exps", "logs/refs/exps"):
        shutil.rmtree(clone / ".git" / folder, ignore_errors=True)
    packed = run_git(clone, "for-each-ref", "--format=delete %(refname)", "refs/exps")
    if packed:
        run_git(clone, "update-ref", "--no-deref", "--stdin", text=f"{packed}\n")

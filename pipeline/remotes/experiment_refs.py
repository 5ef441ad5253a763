"""Push and fetch DVC experiments by git: refs below refs/exps, each with a commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.storage.dvc_remotes.remote_errors import hide_password
from pipeline.storage.dvc_remotes.tracked_objects import COMMIT_OWNER
from pipeline.storage.git_commands import GitError, run_git
from pipeline.storage.git_history import find_commit

_PATTERN: Final = "refs/exps/*/*/*"
_OWN_FOLDERS: Final = ("apply", "celery", "exec", "temp")
"""Below refs/exps, of DVC's own use: what is being run or was applied here."""
_REFS_AT_ONCE: Final = 200
"""That one command line names."""


class ExperimentRef(NamedTuple):
    """An experiment.

    Attributes:
        ref: refs/exps/AB/CDEF.../NAME, with the commit that it started from.
        commit: With its results.
    """

    ref: str
    commit: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.ref.rpartition("/")[2]


class SyncedExperiments(NamedTuple):
    """Experiments after a push or a fetch.

    Attributes:
        copied: New, or replaced, at the target.
        kept: Equal on both sides.
        different: Those that the target has with other results, and kept.
    """

    copied: tuple[ExperimentRef, ...] = ()
    kept: tuple[ExperimentRef, ...] = ()
    different: tuple[ExperimentRef, ...] = ()


def list_git_remotes(project: Path) -> list[str]:
    """List the names of git's remotes."""
    return run_git(project, "remote").splitlines()


def list_experiment_refs(project: Path) -> list[ExperimentRef]:
    """List the experiments of the repository."""
    found = run_git(project, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    return list(_parse_refs(found))


def list_owners(project: Path, experiments: Sequence[ExperimentRef]) -> dict[str, str]:
    """Return the owner of the outputs of the last commit, and of experiments, by commit."""
    head = find_commit(project, "HEAD")
    owners = {each.commit: each.name for each in experiments}
    return owners | ({head: COMMIT_OWNER} if head else {})


def list_remote_experiments(project: Path, remote: str) -> list[ExperimentRef]:
    """List the experiments of a git remote.

    Raises:
        UserError: It cannot be reached.
    """
    return list(_parse_refs(ask_git_remote(project, remote, "ls-remote", remote, _PATTERN)))


def push_experiments(
    project: Path, remote: str, experiments: Sequence[ExperimentRef], *, force: bool = False
) -> SyncedExperiments:
    """Push the experiments that a git remote does not have.

    Args:
        project: A folder of the repository.
        remote: The name of a git remote.
        experiments: Those whose data is on the DVC remote, at the commits that are pushed: others may have
            been made, or replaced, meanwhile.
        force: Whether to replace those that it has with other results.

    Raises:
        UserError: It cannot be reached, or refuses them.
    """
    plan = _plan_copies(experiments, list_remote_experiments(project, remote), force=force)
    for refs in _split(plan.copied):
        words = [f"{'+' if force else ''}{each.commit}:{each.ref}" for each in refs]
        ask_git_remote(project, remote, "push", "--quiet", "--no-verify", remote, *words)
    return plan


def fetch_experiments(project: Path, remote: str, *, force: bool = False) -> SyncedExperiments:
    """Fetch the experiments of a git remote that the repository does not have.

    Args:
        project: A folder of the repository.
        remote: The name of a git remote.
        force: Whether to replace those that the repository has with other results.

    Raises:
        UserError: It cannot be reached.
    """
    plan = _plan_copies(list_remote_experiments(project, remote), list_experiment_refs(project), force=force)
    for refs in _split(plan.copied):
        words = [f"{'+' if force else ''}{each.ref}:{each.ref}" for each in refs]
        ask_git_remote(
            project, remote, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, *words
        )
    return plan


def ask_git_remote(project: Path, remote: str, *command: str) -> str:
    """Run a command of git that asks a remote.

    Raises:
        UserError: It failed; the sentence names the remote's address, without a password.
    """
    try:
        return run_git(project, *command)
    except GitError as error:
        address = hide_password(run_git(project, "remote", "get-url", remote))
        reason = hide_password(str(error).partition(": ")[2] or str(error))
        raise UserError(
            f"git's remote {remote} ({address}) cannot be used ({reason}): check its address and your access"
        ) from None


def _plan_copies(
    source: Sequence[ExperimentRef], target: Sequence[ExperimentRef], *, force: bool
) -> SyncedExperiments:
    there = {each.ref: each.commit for each in target}
    new = tuple(each for each in source if each.ref not in there)
    other = tuple(each for each in source if there.get(each.ref, each.commit) != each.commit)
    kept = tuple(each for each in source if there.get(each.ref) == each.commit)
    return SyncedExperiments(new + other, kept) if force else SyncedExperiments(new, kept, other)


def _parse_refs(text: str) -> Iterator[ExperimentRef]:
    for line in text.splitlines():
        commit, ref = line.split(maxsplit=1)
        parts = ref.split("/")
        if len(parts) == 5 and parts[2] not in _OWN_FOLDERS:
            yield ExperimentRef(ref, commit)


def _split(refs: Sequence[ExperimentRef]) -> Iterator[Sequence[ExperimentRef]]:
    for start in range(0, len(refs), _REFS_AT_ONCE):
        yield refs[start : start + _REFS_AT_ONCE]

"""Read files of a revision, and outputs of stages, by DVC's Python API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import chdir, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.storage.dvc_remotes.damaged_objects import hash_md5

_VERIFY = "python -m pipeline pull --verify"


class RevisionReadError(Exception):
    """DVC cannot read a file of a revision."""


class RemoteError(Exception):
    """DVC cannot use a remote."""


class UnknownRevisionError(RevisionReadError):
    """Git has no such revision."""


class MissingContentsError(RevisionReadError):
    """The revision has no such file, or its contents are neither in DVC's cache nor on a remote."""


def read_file_at_revision(path: Path, revision: str) -> str:
    """Read a text file that git or DVC tracks, as it was at a revision.

    Args:
        path: Relative to the project's root.
        revision: A commit, branch, tag, or DVC experiment.

    Raises:
        RevisionReadError: The file cannot be read; a subclass tells an unknown revision and missing contents.
    """
    import dvc.api  # takes half a second, so only where it is needed
    from dvc.exceptions import PathMissingError
    from dvc.scm import RevError

    try:
        place = _locate(path, revision)
        return str(dvc.api.read(place.path.as_posix(), rev=place.commit))
    except RevError as error:
        raise UnknownRevisionError(str(error)) from error
    except (PathMissingError, FileNotFoundError) as error:
        raise MissingContentsError(str(error)) from error
    except Exception as error:  # of DVC and of its git libraries, such as a damaged repository
        raise RevisionReadError(str(error) or type(error).__name__) from error


def copy_path_at_revision(path: Path, revision: str, target: Path) -> None:
    """Copy a file or a folder that DVC or git tracks, as it was at a revision; the workspace stays as it is.

    Contents come from DVC's cache, or else from its remote; they are verified.

    Args:
        path: Relative to the project's root.
        revision: A commit, branch, tag, or DVC experiment.
        target: The copy, which does not exist; its folder does.

    Raises:
        RevisionReadError: It cannot be copied; a subclass tells an unknown revision and missing contents.
    """
    import dvc.api
    from dvc.exceptions import PathMissingError
    from dvc.scm import RevError

    try:
        place = _locate(path, revision)
        name = place.path.as_posix()
        with closing(dvc.api.DVCFileSystem(rev=place.commit, subrepos=place.is_subproject)) as tracked:
            if not tracked.exists(name):
                raise MissingContentsError(f"{revision} has no {path.as_posix()}")
            tracked.get(name, str(target), recursive=tracked.isdir(name))
            _require_intact(tracked, place.path, target)
    except RevError as error:
        raise UnknownRevisionError(str(error)) from error
    except (PathMissingError, FileNotFoundError) as error:
        raise MissingContentsError(str(error)) from error
    except RevisionReadError:
        raise
    except Exception as error:  # of DVC, of its git libraries and of its remotes
        raise RevisionReadError(str(error) or type(error).__name__) from error


def push_run_cache(folder: Path, remote: str | None) -> None:
    """Push what DVC has recorded of runs of stages, with all of their outputs.

    `dvc push --run-cache` leaves out outputs that git tracks: no other machine can restore a stage then.

    Args:
        folder: The folder with .dvc.
        remote: The name of a remote; None for the default one.

    Raises:
        RemoteError: The remote cannot be reached, or DVC cannot push to it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            runs = repo.stage_cache.push(remote)
            for objects in repo.stage_cache.get_used_objs(runs).values():
                repo.cloud.push(objects, remote=remote)
    except (DvcException, OSError) as error:
        raise RemoteError(str(error) or type(error).__name__) from error


class MissingOutputs(NamedTuple):
    """Outputs that cannot be had.

    Attributes:
        paths: Relative to the project.
        reason: Why the remote did not help; empty if nothing is missing.
    """

    paths: tuple[str, ...] = ()
    reason: str = ""


def fetch_outputs(folder: Path, stages: Sequence[str]) -> MissingOutputs:
    """Fetch outputs of stages from the remote into the cache; return those that are in neither.

    Args:
        folder: A project; its dvc.lock says which contents.
        stages: Of its dvc.yaml. Outputs that dvc.lock does not name are left out.
    """
    reason = "the remote does not have them"
    with open_repository(folder) as repo:
        if not _find_outputs(repo, stages, cached=False):
            return MissingOutputs()
        try:
            repo.fetch(targets=list(stages))
        except Exception as error:  # of DVC and of the libraries of its remotes: the files are missing then
            reason = str(error) or type(error).__name__
        missing = _find_outputs(repo, stages, cached=False)
        return MissingOutputs(tuple(sorted(missing)), reason if missing else "")


def checkout_outputs(folder: Path, stages: Sequence[str]) -> None:
    """Write outputs of stages as dvc.lock names them; those that the cache does not have are left out.

    Args:
        folder: A project.
        stages: Of its dvc.yaml.

    Raises:
        RevisionReadError: They cannot be written, or are damaged in the cache.
    """
    from dvc.exceptions import DvcException

    with open_repository(folder) as repo:
        targets = _find_outputs(repo, stages, cached=True)
        try:
            repo.checkout(targets=targets, force=True) if targets else None
        except DvcException as error:
            raise RevisionReadError(str(error)) from error
        for out in (out for stage in repo.index.stages for out in stage.outs if out.def_path in targets):
            _require_undamaged(out)


def _require_undamaged(out: Any) -> None:
    """Require that the files of an output have the contents that dvc.lock names: DVC trusts its cache.

    Raises:
        RevisionReadError: One has others.
    """
    place, found = Path(out.fs_path), out.get_obj()
    rows = [(place.joinpath(*key), info.value) for key, _, info in found] if found is not None else []
    for path, md5 in rows if place.is_dir() else [(place, out.hash_info.value)]:
        if hash_md5(path) != md5:
            name = path.relative_to(Path.cwd())
            raise RevisionReadError(f"{name} is damaged in DVC's cache or on its remote ({_VERIFY})")


def restore_from_run_cache(folder: Path, stage: str) -> bool:
    """Write the outputs that DVC kept when it ran a stage with these inputs; return whether it has some.

    Args:
        folder: A project; inputs and parameters of the stage are in place.
        stage: Of its dvc.yaml.
    """
    from dvc.repo import lock_repo
    from dvc.stage.cache import RunCacheNotFoundError

    with open_repository(folder) as repo, lock_repo(repo):
        try:
            repo.stage_cache.restore(repo.stage.load_one(name=stage))
        except RunCacheNotFoundError:
            return False
        return True


def commit_outputs(folder: Path, stages: Sequence[str]) -> None:
    """Record the present outputs and inputs of stages in dvc.lock, and put the outputs into the cache.

    Args:
        folder: A project.
        stages: Of its dvc.yaml, in their order.

    Raises:
        RevisionReadError: An output or an input is missing.
    """
    from dvc.exceptions import DvcException

    with open_repository(folder) as repo:
        try:
            for stage in stages:
                repo.commit(stage, force=True)
        except DvcException as error:
            raise RevisionReadError(str(error)) from error


def list_changed_stages(folder: Path) -> dict[str, list[str]]:
    """Return the stages that `dvc repro` would run, with what changed; those that always run are left out.

    Args:
        folder: A project.
    """
    with open_repository(folder) as repo:
        found = repo.status()
    changed = {stage: _name_changes(entries) for stage, entries in found.items()}
    return {stage: names for stage, names in changed.items() if names}


def _name_changes(entries: Sequence[Any]) -> list[str]:
    """Name what changed by DVC's report on a stage, such as `data/prepared` or `params.yaml: seed`."""
    names = []
    for entry in entries:
        kinds = entry if isinstance(entry, dict) else {}  # "always changed" is a text
        for path, state in (pair for found in kinds.values() for pair in found.items()):
            keys = state if isinstance(state, dict) else {}
            names += [f"{path}: {key}" for key in keys] or [str(path)]
    return names


def _find_outputs(repo: Any, stages: Sequence[str], *, cached: bool) -> list[str]:
    """Return the outputs whose contents the cache has, or does not have, with all of their files."""
    wanted = [stage for stage in repo.index.stages if getattr(stage, "name", None) in stages]
    outs = [out for stage in wanted for out in stage.outs if out.use_cache and out.hash_info]
    return [out.def_path for out in outs if out.changed_cache() != cached]


def _require_intact(tracked: Any, path: Path, target: Path) -> None:
    """Require that copies have the contents that DVC recorded; git verifies its own.

    Raises:
        RevisionReadError: A file is damaged in the cache or on the remote.
    """
    found = tracked.find(path.as_posix(), detail=True) if target.is_dir() else {}
    for name, info in (found or {path.as_posix(): tracked.info(path.as_posix())}).items():
        copy = target / Path(name).relative_to(path) if found else target
        if (md5 := info.get("md5")) and hash_md5(copy) != md5:
            raise RevisionReadError(f"{name} is damaged in DVC's cache or on its remote ({_VERIFY})")


class _PlaceAtCommit(NamedTuple):
    """Where DVC has a path of the project at a commit: it counts from the top of the git repository.

    Attributes:
        path: Relative to that top.
        commit: The commit.
        is_subproject: Whether the project is in a folder below it.
    """

    path: Path
    commit: str
    is_subproject: bool


def _locate(path: Path, revision: str) -> _PlaceAtCommit:
    """Locate a path of the project at a revision; of an unknown one DVC's own functions leave files open."""
    from dvc.scm import resolve_rev

    with open_repository(Path.cwd()) as repo:
        commit = str(resolve_rev(repo.scm, revision))
        folder = Path(repo.root_dir).resolve().relative_to(Path(repo.scm.root_dir).resolve())
    return _PlaceAtCommit(folder / path, commit, folder != Path())


@contextmanager
def open_repository(folder: Path) -> Iterator[Any]:
    """Open a project as DVC's commands do, in its folder: names of stages belong to the dvc.yaml there."""
    import logging

    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # the caller says what was done
    with chdir(folder), Repo() as repo:
        yield repo

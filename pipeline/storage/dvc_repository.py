"""Read files of a revision and configure clones by DVC's Python API; the only module that imports dvc."""

from __future__ import annotations

from pathlib import Path


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
        return str(dvc.api.read(path.as_posix(), rev=revision))
    except RevError as error:
        raise UnknownRevisionError(str(error)) from error
    except (PathMissingError, FileNotFoundError) as error:
        raise MissingContentsError(str(error)) from error
    except Exception as error:  # of DVC and of its git libraries, such as a damaged repository
        raise RevisionReadError(str(error) or type(error).__name__) from error


def copy_path_at_revision(path: Path, revision: str, target: Path) -> None:
    """Copy a file or a folder that DVC or git tracks, as it was at a revision; the workspace stays as it is.

    Contents come from DVC's cache, or else from its remote.

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
        tracked = dvc.api.DVCFileSystem(rev=revision)
        if not tracked.exists(path.as_posix()):
            raise MissingContentsError(f"{revision} has no {path.as_posix()}")
        tracked.get(path.as_posix(), str(target), recursive=tracked.isdir(path.as_posix()))
    except RevError as error:
        raise UnknownRevisionError(str(error)) from error
    except (PathMissingError, FileNotFoundError) as error:
        raise MissingContentsError(str(error)) from error
    except RevisionReadError:
        raise
    except Exception as error:  # of DVC, of its git libraries and of its remotes
        raise RevisionReadError(str(error) or type(error).__name__) from error


def share_dvc_settings(project: Path, clone: Path) -> None:
    """Give a clone the project's cache, and the settings that are not in git, by its .dvc/config.local.

    Relative paths of caches and remotes name the same folders as in the project.

    Args:
        project: The folder with .dvc.
        clone: The same folder in the clone.
    """
    from dvc.config import Config, merge
    from dvc.config_schema import RelPath

    source = Config(str(project / ".dvc"), validate=False)
    shared = source.read("repo")
    merge(shared, source.read("local"))
    default = RelPath(project / ".dvc/cache")  # DVC writes ASCII alone, and the project's path may have more
    shared["cache"].setdefault("dir", source["cache"].get("dir") or default)
    with Config(str(clone / ".dvc"), validate=False).edit("local", validate=False) as local:
        local.clear()
        merge(local, shared)


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

"""A project's cache of DVC and one of its remotes: which objects they have, and copies between the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_full_disk, is_disk_full
from pipeline.storage.disk_space import has_space
from pipeline.storage.dvc_remotes.object_copies import (
    CountDone,
    build_callback,
    copy_whole_files,
    split_objects,
)
from pipeline.storage.dvc_remotes.remote_errors import describe_remote_error, hide_password
from pipeline.storage.dvc_remotes.tracked_objects import TrackedOutputs
from pipeline.storage.dvc_remotes.tracked_outputs import list_outputs

_LEAST_FREE_BYTES: Final = 1 << 20
"""A disk with less may be why DVC could not write a file."""
CONNECT_SECONDS: Final = 20
"""Seconds that S3 has for each attempt to connect, unless the remote's `connect_timeout` says otherwise."""


class CopiedObjects(NamedTuple):
    """What a copy to or from a remote did.

    Attributes:
        copied: Objects that are there now, with the right contents.
        damaged: Objects of the remote whose contents are not those of their names.
    """

    copied: tuple[str, ...]
    damaged: tuple[str, ...]


class ObjectStore:
    """The cache of a project, and one of its remotes. An error of the remote is a UserError.

    Attributes:
        name: Of the remote.
        address: Its URL, without a password.
    """

    def __init__(self, repo: Any, name: str) -> None:
        """Connect to a remote.

        Args:
            repo: DVC's repository.
            name: The remote's name.
        """
        self._repo, self.name = repo, name
        self._settings: dict[str, Any] = repo.config["remote"][name.lower()]
        self.address = hide_password(str(self._settings["url"]))
        if self.address.startswith("s3://"):
            self._settings.setdefault("connect_timeout", CONNECT_SECONDS)
        with self._explain_errors():
            remote = repo.cloud.get_remote(name)
        if remote.worktree or remote.fs.version_aware:
            raise UserError(
                f"the remote {name} ({self.address}) keeps versions of files (version_aware or worktree): "
                "use `dvc push` and `dvc pull` for it, or add another remote"
            )
        self._cache, self._remote, self._records = repo.cache.local, remote.odb, remote.legacy_odb
        for place in (self._cache, self._remote):
            copy_whole_files(place.fs)

    def require_folder(self, *, creates: bool) -> None:
        """Require the folder of a remote on this machine: an empty place may be a disk that is not mounted.

        Args:
            creates: Whether it may be absent, if the folder that it is to be in exists.

        Raises:
            UserError: It is absent.
        """
        if self._remote.fs.protocol != "local":
            return
        folder = Path(self._records.path)
        if not (folder.is_dir() or (creates and folder.parent.is_dir())):
            absent = folder.parent if creates else folder
            raise UserError(
                f"the remote {self.name} is the folder {folder}, and {absent} does not exist: mount its "
                f"disk, or correct it with `dvc remote modify {self.name} url FOLDER`"
            )

    def list_outputs(self, owners: dict[str, str]) -> TrackedOutputs:
        """List the outputs of the workspace and of commits, by the owner of each commit."""
        return list_outputs(self._repo, owners)

    def list_changed_outputs(self) -> list[str]:
        """List the outputs of the workspace that are absent, or not as dvc.lock names them."""
        return [out.def_path for out in self._iterate_outputs() if not out.exists or out.changed_checksum()]

    def list_complete_outputs(self) -> list[str]:
        """List the outputs of the workspace whose contents the cache has with all of their files."""
        return [out.def_path for out in self._iterate_outputs() if not out.changed_cache()]

    def write_outputs(self, paths: Sequence[str]) -> int:
        """Write outputs into the workspace as dvc.lock names them; return the number of files that changed.

        Args:
            paths: Of outputs that the cache has.

        Raises:
            UserError: A file that DVC does not have is in their place, or another command of DVC is at work.
        """
        from dvc.exceptions import DvcException
        from dvc.lock import LockError

        try:
            done = self._repo.checkout(targets=list(paths)) if paths else {"stats": {}}
        except LockError as error:
            raise UserError(
                "data and weights are in DVC's cache, and not yet in the workspace, where another command of "
                "DVC is at work: wait for it, then pull again"
            ) from error
        except DvcException as error:
            if full := _find_full_disk(Path(self._repo.root_dir), paths):
                raise UserError(describe_full_disk(full)) from error
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise UserError(
                f"data and weights are in DVC's cache, and cannot be written into the workspace: {lines[0]}",
                *lines[1:4],
                "`dvc checkout --force` replaces files that DVC does not have",
            ) from error
        return sum(done["stats"].values())

    def get_cache_path(self, oid: str) -> Path:
        """Return the file of an object in the cache; it need not exist."""
        return Path(self._cache.oid_to_path(oid))

    def get_remote_path(self, oid: str) -> str:
        """Return the address of an object on the remote; it need not exist."""
        return hide_password(str(self._remote.fs.unstrip_protocol(self._remote.oid_to_path(oid))))

    def find_cached(self, oids: Iterable[str]) -> set[str]:
        """Return those of these objects that the cache has."""
        return set(self._cache.oids_exist(list(oids)))

    def find_on_remote(self, oids: Iterable[str]) -> set[str]:
        """Return those of these objects that the remote has. It is asked: DVC's own notes may be outdated.

        In a folder DVC would read each file that is not read-only, and delete a damaged one without a word.
        """
        wanted = list(oids)
        with self._explain_errors():
            if self._remote.fs.protocol == "local":
                return {oid for oid in wanted if Path(self._remote.oid_to_path(oid)).exists()}
            return set(self._remote.oids_exist(wanted, jobs=self._remote.fs.jobs)) if wanted else set()

    def upload(self, oids: Sequence[str], count_done: CountDone) -> None:
        """Copy objects from the cache to the remote, which receives each one whole or not at all.

        Raises:
            UserError: The remote refused one; those before it are there.
        """
        with self._explain_errors():
            for part in split_objects(oids):
                self._copy(self._cache, self._remote, part, count_done, verify=False)

    def download(self, oids: Sequence[str], count_done: CountDone) -> CopiedObjects:
        """Copy objects from the remote to the cache, and verify their contents.

        Raises:
            UserError: The remote failed; the objects before are in the cache.
        """
        copied: list[str] = []
        with self._explain_errors(downloads=True):
            for part in split_objects(oids):
                self._copy(self._remote, self._cache, part, count_done, verify=True)
                copied += [oid for oid in part if self.get_cache_path(oid).exists()]
        there = set(copied)
        return CopiedObjects(tuple(copied), tuple(oid for oid in oids if oid not in there))

    def list_records(self, *, on_remote: bool) -> set[str]:
        """List the run cache's records of the cache or the remote, as paths relative to it.

        A remote by HTTP has none.
        """
        place = self._records if on_remote else self._repo.cache.legacy
        if place.fs.protocol in {"http", "https"}:
            return set()
        with self._explain_errors():
            root = place.fs.join(place.path, "runs")
            found = list(place.fs.find(root)) if place.fs.exists(root) else []
        return {"/".join(place.fs.parts(path)[-3:]) for path in found if not path.endswith(".tmp")}

    def read_record(self, record: str) -> bytes:
        """Read a record of the run cache in the cache."""
        return Path(self._repo.cache.legacy.path, "runs", record).read_bytes()

    def copy_records(self, records: Sequence[str], *, to_remote: bool) -> None:
        """Copy records of the run cache to or from the remote.

        Raises:
            UserError: The remote failed.
        """
        from dvc_objects.fs import generic

        ends = [self._repo.cache.legacy, self._records]
        source, target = ends if to_remote else reversed(ends)
        places = [
            [end.fs.join(end.path, "runs", *path.split("/")) for path in records] for end in (source, target)
        ]
        if records:
            with self._explain_errors(downloads=not to_remote):
                generic.copy(source.fs, places[0], target.fs, places[1], batch_size=self._remote.fs.jobs)

    def _iterate_outputs(self) -> Iterator[Any]:
        return (out for out in self._repo.index.outs if out.use_cache and out.hash_info and out.is_in_repo)

    def _copy(
        self, source: Any, target: Any, oids: Sequence[str], count_done: CountDone, *, verify: bool
    ) -> None:
        failed: list[BaseException] = []
        target.add(
            [source.oid_to_path(oid) for oid in oids],
            source.fs,
            list(oids),
            on_error=lambda _, error: failed.append(error),
            callback=build_callback(count_done),
            verify=verify,
            batch_size=self._remote.fs.jobs,
            check_exists=False,
        )
        if failed:
            raise failed[0]

    @contextmanager
    def _explain_errors(self, *, downloads: bool = False) -> Iterator[None]:
        from dvc.exceptions import DvcException

        try:
            yield
        except UserError:
            raise
        except DvcException as error:
            raise UserError(
                f"the remote {self.name} ({self.address}) cannot be used by this command: {error}; use "
                "`dvc push` and `dvc pull` for it"
            ) from error
        except Exception as error:  # of any of the libraries of remotes
            if downloads and is_disk_full(error):  # the remote is only read
                raise UserError(describe_full_disk(Path(self._cache.path))) from error
            sentence = describe_remote_error(error, name=self.name, settings=self._settings)
            raise UserError(sentence) from error


def _find_full_disk(project: Path, paths: Sequence[str]) -> Path | None:
    """Return an output whose disk is full, which DVC does not tell; None if there is none."""
    places = (project / path for path in paths)
    return next((place for place in places if not has_space(place, _LEAST_FREE_BYTES)), None)

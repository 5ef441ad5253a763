"""Save the team's MLflow server in a folder, and restore it: both databases, and the files of the runs.

Run it on the server, with the environment of `make server-env` and the variables of server.env:

    .venv-server/bin/python deploy/backup.py save /var/lib/finetrack/backup
    .venv-server/bin/python deploy/backup.py restore /var/lib/finetrack/backup

The databases are dumped first: each file that they name was uploaded before. A file that is saved already,
and has not changed, is not copied again. Restoring wants two databases without tables, which
deploy/create-databases.sh creates, and MLflow stopped. Runs without any files are taken for a folder that is
not mounted, or a wrong address: --without-files says that there are none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DATABASES = ("mlflow", "mlflow_auth")
PART = ".backup-part"
"""End of the name of a file that is not complete yet: no name that a file of a run has, such as best.part."""


class BackupError(Exception):
    """The backup or the restore cannot go on; the message says why."""


def main(words: list[str] | None = None) -> int:
    """Run one command; return the exit code.

    Args:
        words: Of the command line; None takes those of the process.
    """
    os.umask(0o077)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("save", "restore"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without-files", action="store_true", help="the runs have no files")
    arguments = parser.parse_args(words)
    run = save_server if arguments.command == "save" else restore_server
    try:
        for line in run(arguments.folder, without_files=arguments.without_files):
            print(line)
    except BackupError as error:
        sys.stderr.write(f"backup.py: {error}\n")
        return 1
    except Exception as error:  # of a disk, or of boto3
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        sys.stderr.write(f"backup.py: {arguments.command} is not complete, run it again: {reason}\n")
        return 1
    return 0


def save_server(folder: Path, *, without_files: bool = False) -> Iterator[str]:
    """Save the databases and the files; yield what was done.

    Args:
        folder: Of the backup.
        without_files: Whether the runs may have no files.

    Raises:
        BackupError: A database cannot be saved, or there are no files where there should be some.
    """
    files = open_files()
    folder.mkdir(parents=True, exist_ok=True)
    for name in DATABASES:
        dump = folder / f"{name}.dump"
        run_program("pg_dump", "--format=custom", "--no-owner", f"--file={dump}{PART}", name)
        Path(f"{dump}{PART}").replace(dump)
        yield f"{dump}: {dump.stat().st_size} bytes"
    count, copied = files.save(folder / "artifacts")
    if not count and not without_files and (has_runs(folder) or list_files(folder / "artifacts")):
        raise BackupError(
            f"{os.environ['MLFLOW_ARTIFACTS_DESTINATION']} has no files, though there are runs: mount its "
            "disk, or correct MLFLOW_ARTIFACTS_DESTINATION. The databases are saved, and files of earlier "
            "backups stay. If the runs have none, give --without-files"
        )
    yield f"{folder / 'artifacts'}: {count} files, of them {copied} new"


def restore_server(folder: Path, *, without_files: bool = False) -> Iterator[str]:
    """Restore the files, then the databases that name them; yield what was done.

    Args:
        folder: Of the backup.
        without_files: Whether the runs may have no files.

    Raises:
        BackupError: The backup is not complete, or the databases are in use; nothing was changed.
    """
    dumps = [folder / f"{name}.dump" for name in DATABASES]
    for dump in dumps:
        if not dump.is_file():
            raise BackupError(f"there is no {dump}: name the folder that `backup.py save` wrote")
    if not without_files and not list_files(folder / "artifacts") and has_runs(folder):
        raise BackupError(
            f"{folder / 'artifacts'} has no files, though there are runs: bring them from where they were "
            "saved. If the runs have none, give --without-files"
        )
    for name in DATABASES:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        if run_program("psql", "-XAtqc", tables, name).strip() != "0":
            raise BackupError(
                f"the database {name} has tables: stop MLflow, drop both databases, "
                "and create them again with deploy/create-databases.sh"
            )
    yield f"{open_files().restore(folder / 'artifacts')} files"
    for name, dump in zip(DATABASES, dumps, strict=True):
        run_program(
            "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", "-d", name, str(dump)
        )
        yield f"the database {name}"


def has_runs(folder: Path) -> bool:
    """Return whether a backup has runs: its dump has rows of their table."""
    dump = folder / f"{DATABASES[0]}.dump"
    text = run_program("pg_restore", "--data-only", "--table=runs", "--file=-", str(dump))
    lines = text.splitlines()
    heads = [place for place, line in enumerate(lines) if line.startswith("COPY ")]
    return any(lines[place + 1] != r"\." for place in heads)


def run_program(*words: str) -> str:
    """Run a program of PostgreSQL, which finds the server and the password in the environment.

    Raises:
        BackupError: It failed, or is not installed.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BackupError(f"{words[0]} is not installed: install the package postgresql-client") from None
    if done.returncode:
        raise BackupError(f"{words[0]}: {' '.join(done.stderr.split())[:300]}")
    return done.stdout


def open_files() -> FolderFiles | BucketFiles:
    """Return where MLFLOW_ARTIFACTS_DESTINATION keeps the files of the runs."""
    destination = os.environ.get("MLFLOW_ARTIFACTS_DESTINATION", "")
    if not destination:
        raise BackupError("MLFLOW_ARTIFACTS_DESTINATION is not set: load server.env")
    parts = urlsplit(destination)
    if parts.scheme == "s3":
        return BucketFiles(parts.netloc, parts.path.strip("/"))
    if parts.scheme not in {"", "file"}:
        raise BackupError(f"{parts.scheme}:// cannot be saved: use the tools of that store")
    return FolderFiles(Path(parts.path))


class FolderFiles:
    """Files of runs in a folder.

    Args:
        root: The folder of MLFLOW_ARTIFACTS_DESTINATION.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, folder: Path) -> tuple[int, int]:
        """Copy what is new or changed; return how many files there are, and how many were copied."""
        return copy_files(self._root, folder)

    def restore(self, folder: Path) -> int:
        """Copy the files back; return how many there are."""
        return copy_files(folder, self._root)[0]


class BucketFiles:
    """Files of runs in a bucket of an S3-compatible store.

    Args:
        bucket: Its name.
        prefix: What all keys begin with; may be empty.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3

        self._client: Any = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None)
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def save(self, folder: Path) -> tuple[int, int]:
        """Download what is new or changed; return how many files there are, and how many were downloaded."""
        copied = count = 0
        for key, size, time in self._list_objects():
            count += 1
            file = folder / key.removeprefix(self._prefix)
            if not file.resolve().is_relative_to(folder.resolve()):
                raise BackupError(f"the bucket {self._bucket} has a key that leaves the folder: {key}")
            if not is_saved(file, size, time):
                self._download(key, file, time)
                copied += 1
        return count, copied

    def restore(self, folder: Path) -> int:
        """Upload all files; return how many."""
        files = list_files(folder)
        for file in files:
            self._client.upload_file(
                str(file), self._bucket, self._prefix + file.relative_to(folder).as_posix()
            )
        return len(files)

    def _download(self, key: str, file: Path, time: float) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(file.name + PART)
        self._client.download_file(self._bucket, key, str(part))
        os.utime(part, (time, time))
        part.replace(file)

    def _list_objects(self) -> Iterator[tuple[str, int, float]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
            for found in page.get("Contents", ()):
                yield found["Key"], found["Size"], found["LastModified"].timestamp()


def copy_files(source: Path, target: Path) -> tuple[int, int]:
    """Copy what is new or changed; return how many files there are, and how many were copied."""
    copied = 0
    files = list_files(source)
    for file in files:
        copy, state = target / file.relative_to(source), file.stat()
        if is_saved(copy, state.st_size, state.st_mtime):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        part = copy.with_name(copy.name + PART)
        shutil.copy2(file, part)
        part.replace(copy)
        copied += 1
    return len(files), copied


def is_saved(file: Path, size: int, time: float) -> bool:
    """Check whether a file has this size, and this time of its last change, to a second."""
    return file.is_file() and file.stat().st_size == size and abs(file.stat().st_mtime - time) < 1


def list_files(folder: Path) -> list[Path]:
    """Return the complete files below a folder, sorted; none without the folder.

    Raises:
        OSError: A folder in it cannot be read.
    """
    found: list[Path] = []
    if folder.exists():
        for place, _, names in os.walk(folder, onerror=_raise):
            found += [Path(place, name) for name in names if not name.endswith(PART)]
    return sorted(path for path in found if path.is_file())


def _raise(error: OSError) -> None:
    raise error


if __name__ == "__main__":
    sys.exit(main())

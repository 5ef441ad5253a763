"""The outbox: messages about a run, written to disk first and kept until MLflow has them.

One folder per run below .finetrack/outbox: `head.json` (store, experiment, key), `messages.jsonl` (one line
per message), `files/` (copies of files to upload), `state.json` (what was sent), `lock` (held by a process).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pipeline.storage.files import write_file
from pipeline.storage.scratch_folder import create_scratch_folder

OutboxMessage = dict[str, Any]

_HELD: set[Path] = set()
"""Folders that this process holds: a POSIX lock does not stop a process from taking its own lock again."""


class RunOutbox:
    """The messages about one run. `claim_outbox` and `create_outbox` return one that this process holds."""

    def __init__(self, folder: Path, lock: IO[str], head: OutboxMessage) -> None:
        self.folder = folder
        self.head = head
        self._lock = lock
        self._writing = threading.Lock()
        self._half_line = True  # a killed writer may have left one
        _HELD.add(folder)
        self.state: OutboxMessage = {"sent": 0, "run_id": None}
        with contextlib.suppress(FileNotFoundError, ValueError):
            self.state |= json.loads((folder / "state.json").read_text())

    @property
    def id(self) -> str:
        """The id of the outbox; it exists before MLflow gives the run an id."""
        return self.folder.name

    def append(self, kind: str, **content: Any) -> None:
        """Add a message. It survives this process at once, and a power loss after `sync_messages`."""
        line = (
            json.dumps({"kind": kind, "time": int(time.time() * 1000), **content}, allow_nan=False).encode()
            + b"\n"
        )
        with self._writing, (self.folder / "messages.jsonl").open("ab", buffering=0) as file:
            written = file.write(b"\n" + line if self._half_line else line)
            self._half_line = written != len(line) + self._half_line
            if self._half_line:
                raise OSError(errno.ENOSPC, "the disk stored only a part of a message")

    def copy_file(self, path: Path) -> str:
        """Copy a file or folder into the outbox as it is now, and return its path in the outbox."""
        place = Path("files", uuid.uuid4().hex[:12], path.name)
        copy = self.folder / place
        copy.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copy2(path, copy)
        return place.as_posix()

    def list_files(self, place: str) -> list[tuple[str, int]]:
        """List the files of a copy: path from the folder that holds the copy, and size in bytes."""
        copy = self.folder / place
        files = sorted(copy.rglob("*")) if copy.is_dir() else [copy]
        return [
            (file.relative_to(copy.parent).as_posix(), file.stat().st_size)
            for file in files
            if file.is_file()
        ]

    def read_pending(self, limit: int = 100) -> list[tuple[int, OutboxMessage]]:
        """Read the next messages to send, each with the file position after it, for `mark_sent`."""
        found: list[tuple[int, OutboxMessage]] = []
        with contextlib.suppress(FileNotFoundError), (self.folder / "messages.jsonl").open("rb") as file:
            file.seek(self.state["sent"])
            while len(found) < limit and (line := file.readline()).endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    found.append((file.tell(), json.loads(line)))
        return found

    def sync_messages(self) -> None:
        """Flush the messages to the disk (fsync)."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "messages.jsonl").open("rb") as file:
            os.fsync(file.fileno())

    def mark_sent(self, sent: int, message: OutboxMessage) -> None:
        """Record that everything up to this position was sent, and delete the file of the message."""
        self.state["sent"] = sent
        self.save_state()
        if "file" in message:
            shutil.rmtree((self.folder / message["file"]).parent, ignore_errors=True)

    def save_state(self) -> None:
        """Write the state. If it is lost in a power loss, the last messages are sent twice, without harm."""
        part = self.folder / ".state.json"
        part.write_text(json.dumps(self.state, allow_nan=False))
        part.replace(self.folder / "state.json")

    def count_waiting_bytes(self) -> int:
        """Return the size of the files to upload, in bytes; the sender may delete files meanwhile."""
        return _count_bytes(self.folder / "files")

    def count_file_bytes(self, message: OutboxMessage) -> int:
        """Return the size of what a message uploads, in bytes."""
        return _count_bytes((self.folder / message["file"]).parent) if "file" in message else 0

    def read_messages(self) -> list[OutboxMessage]:
        """Read all messages, sent or not, oldest first."""
        found: list[OutboxMessage] = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "messages.jsonl").read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def release(self) -> None:
        """Release the lock, so that another process can use the outbox."""
        _HELD.discard(self.folder)
        self._lock.close()

    def delete(self) -> None:
        """Delete the outbox: everything was sent."""
        done = self.folder.with_name(f".{self.folder.name}.done")
        with contextlib.suppress(OSError):
            self.folder.rename(done)
            shutil.rmtree(done, ignore_errors=True)
        self.release()


def create_outbox(uri: str, experiment: str, key: str) -> RunOutbox:
    """Create an outbox for a new run; this process holds its lock from the start."""
    name = uuid.uuid4().hex
    folder, hidden = create_outbox_folder() / name, create_outbox_folder() / f".{name}"
    hidden.mkdir()
    lock = (hidden / "lock").open("w")
    head = {"uri": uri, "experiment": experiment, "key": key}
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        write_file(hidden / "head.json", json.dumps(head, allow_nan=False))
        hidden.rename(folder)
    except BaseException:  # such as a full disk
        lock.close()
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return RunOutbox(folder, lock, head)


def claim_outbox(folder: Path) -> RunOutbox | None:
    """Take the lock of an outbox; return None if a process (this one or another) holds it.

    The lock is a POSIX record lock: unlike with flock, forked data loader processes do not inherit it, so it
    ends with the process that took it.
    """
    if folder in _HELD:
        return None
    try:
        lock = (folder / "lock").open("r+")
    except FileNotFoundError:
        return None
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return RunOutbox(folder, lock, json.loads((folder / "head.json").read_text()))
    except (OSError, ValueError):
        lock.close()
        return None


def claim_waiting_outboxes(
    uri: str, experiment: str | None = None, key: str | None = None
) -> Iterator[RunOutbox]:
    """Claim the outboxes for one store that no process uses, one after another, oldest first."""
    folders = [folder for folder in create_outbox_folder().iterdir() if not folder.name.startswith(".")]
    wanted = {name: value for name, value in {"experiment": experiment, "key": key}.items() if value} | {
        "uri": uri
    }
    for folder in sorted(folders, key=_age):
        outbox = claim_outbox(folder)
        if outbox and outbox.head.items() >= wanted.items():
            yield outbox
        elif outbox:
            outbox.release()


def claim_newest_outbox(uri: str, experiment: str, key: str) -> RunOutbox | None:
    """Claim the newest waiting outbox of this key; one without messages belongs to no run."""
    newest: RunOutbox | None = None
    for outbox in claim_waiting_outboxes(uri, experiment, key):
        other, newest = (newest, outbox) if outbox.read_messages() else (outbox, newest)
        if other:
            other.release()
    return newest


def create_outbox_folder() -> Path:
    """Create and return the folder of all outboxes of this project."""
    return create_scratch_folder("outbox")


def _count_bytes(place: Path) -> int:
    bytes_found = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                bytes_found += (Path(folder) / name).stat().st_size
    return bytes_found


def _age(folder: Path) -> float:
    try:
        return (folder / "head.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0

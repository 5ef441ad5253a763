"""The outbox: what is to be said about one run, on disk before it is sent, until MLflow has it.

One folder per run below .finetrack/outbox: `head.json` (for whom), `messages.jsonl` (a line per message),
`files/` (copies of what is to be uploaded), `state.json` (how far it is sent), `lock` (who is at it).
"""

from __future__ import annotations

import contextlib
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

from pipeline.storage import files

OutboxMessage = dict[str, Any]

_HELD: set[Path] = set()
"""Folders this very process holds: a POSIX lock does not keep a process out of its own file."""


class RunOutbox:
    """The messages about one run; `claim` and `create` give one that no other process is at."""

    def __init__(self, folder: Path, lock: IO[str], head: OutboxMessage) -> None:
        self.folder = folder
        self.head = head
        self._lock = lock
        self._writing = threading.Lock()
        self._torn = True  # a killed writer may have left half a line
        _HELD.add(folder)
        self.state: OutboxMessage = {"sent": 0, "run_id": None}
        with contextlib.suppress(FileNotFoundError, ValueError):
            self.state |= json.loads((folder / "state.json").read_text())

    @property
    def id(self) -> str:
        """A name of its own, known before MLflow gives the run one."""
        return self.folder.name

    def append(self, kind: str, **content: Any) -> None:
        """Add a message; it survives the process at once, and the machine when the sender synced it."""
        line = json.dumps({"kind": kind, "time": int(time.time() * 1000), **content}).encode() + b"\n"
        with self._writing, (self.folder / "messages.jsonl").open("ab", buffering=0) as file:
            written = file.write(b"\n" + line if self._torn else line)
            self._torn = written != len(line) + self._torn
            if self._torn:
                raise OSError("the disk took only a part of a message")

    def keep(self, path: Path) -> str:
        """Copy a file or folder, so that later changes to it do not reach what is sent."""
        place = Path("files", uuid.uuid4().hex[:12], path.name)
        copy = self.folder / place
        copy.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copy2(path, copy)
        return place.as_posix()

    def pending(self, limit: int = 100) -> list[tuple[int, OutboxMessage]]:
        """Read the next messages that were not sent, each with the state that says it was."""
        found: list[tuple[int, OutboxMessage]] = []
        with contextlib.suppress(FileNotFoundError), (self.folder / "messages.jsonl").open("rb") as file:
            file.seek(self.state["sent"])
            while len(found) < limit and (line := file.readline()).endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    found.append((file.tell(), json.loads(line)))
        return found

    def sync(self) -> None:
        """Bring the messages to the disk itself."""
        with contextlib.suppress(FileNotFoundError), (self.folder / "messages.jsonl").open("rb") as file:
            os.fsync(file.fileno())

    def acknowledge(self, sent: int, message: OutboxMessage) -> None:
        """Note that everything up to here was sent; its file is needed no longer."""
        self.state["sent"] = sent
        self.save()
        if "file" in message:
            shutil.rmtree((self.folder / message["file"]).parent, ignore_errors=True)

    def save(self) -> None:
        """Write the state; lost with the power, the last messages are sent again, which does no harm."""
        part = self.folder / ".state.json"
        part.write_text(json.dumps(self.state))
        part.replace(self.folder / "state.json")

    def weight(self) -> int:
        """Bytes of files that wait to be uploaded; the sender takes files away meanwhile."""
        bytes_waiting = 0
        for folder, _, names in os.walk(self.folder / "files"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    bytes_waiting += (Path(folder) / name).stat().st_size
        return bytes_waiting

    def messages(self) -> list[OutboxMessage]:
        """Read all messages, sent or not, oldest first."""
        found: list[OutboxMessage] = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "messages.jsonl").read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def release(self) -> None:
        """Let another process have it."""
        _HELD.discard(self.folder)
        self._lock.close()

    def discard(self) -> None:
        """Delete it: everything was sent."""
        done = self.folder.with_name(f".{self.folder.name}.done")
        with contextlib.suppress(OSError):
            self.folder.rename(done)
            shutil.rmtree(done, ignore_errors=True)
        self.release()


def create(uri: str, experiment: str, key: str) -> RunOutbox:
    """Start a journal, held from its first moment on."""
    name = uuid.uuid4().hex
    folder, hidden = outbox() / name, outbox() / f".{name}"
    hidden.mkdir()
    lock = (hidden / "lock").open("w")
    fcntl.lockf(lock, fcntl.LOCK_EX)
    head = {"uri": uri, "experiment": experiment, "key": key}
    files.write(hidden / "head.json", json.dumps(head))
    hidden.rename(folder)
    return RunOutbox(folder, lock, head)


def claim(folder: Path) -> RunOutbox | None:
    """Take up a journal, unless a process, this one or another, is at it.

    The lock is a POSIX record lock: unlike flock, the workers that a training forks do not inherit it, so it
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


def waiting(uri: str, experiment: str | None = None, key: str | None = None) -> Iterator[RunOutbox]:
    """Claim one after the other the journals for one store that nobody is at, oldest first."""
    folders = [folder for folder in outbox().iterdir() if not folder.name.startswith(".")]
    wanted = {name: value for name, value in {"experiment": experiment, "key": key}.items() if value} | {
        "uri": uri
    }
    for folder in sorted(folders, key=_age):
        journal = claim(folder)
        if journal and journal.head.items() >= wanted.items():
            yield journal
        elif journal:
            journal.release()


def outbox() -> Path:
    """The folder of all journals of this project."""
    return files.scratch("outbox")


def _age(folder: Path) -> float:
    try:
        return (folder / "head.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0

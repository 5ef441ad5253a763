"""List the outboxes of the project, and create nothing, as those who send do."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class WaitingOutbox(NamedTuple):
    """An outbox.

    Attributes:
        folder: Its folder, with its lock.
        uri: The store that its messages are for; empty if it cannot be read.
        waiting: The number of messages that were not sent.
        is_ended: Whether its last stage has ended, as its last message says.
        changed: When it was written last, in seconds since 1970.
    """

    folder: Path
    uri: str
    waiting: int
    is_ended: bool
    changed: float


def list_waiting_outboxes(folder: Path) -> list[WaitingOutbox]:
    """List the outboxes in a folder, the one that was written first at the beginning.

    Args:
        folder: Of all outboxes; it need not exist.
    """
    places = [path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")]
    return sorted(map(_read_outbox, places), key=lambda outbox: outbox.changed)


def _read_outbox(folder: Path) -> WaitingOutbox:
    sent, lines, uri, changed = 0, [], "", 0.0
    with suppress(OSError, ValueError, KeyError, TypeError):
        uri = str(json.loads((folder / "head.json").read_text("utf-8"))["uri"])
    with suppress(OSError, ValueError, KeyError, TypeError):
        sent = int(json.loads((folder / "state.json").read_text("utf-8"))["sent"])
    with suppress(OSError):
        content = (folder / "messages.jsonl").read_bytes()
        changed = (folder / "messages.jsonl").stat().st_mtime
        lines = [line for line in content[sent:].split(b"\n") if line.strip()]
        return WaitingOutbox(folder, uri, len(lines), _is_ended(content), changed)
    return WaitingOutbox(folder, uri, 0, is_ended=True, changed=changed)


def _is_ended(content: bytes) -> bool:
    """Return whether the last message is the end of a stage."""
    last = content.strip().rpartition(b"\n")[2]
    with suppress(ValueError):
        return bool(json.loads(last or b"{}").get("kind") == "end")
    return False

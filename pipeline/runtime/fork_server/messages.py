"""Messages between a fork server and its clients: lines of JSON on a Unix socket. Standard library only."""

from __future__ import annotations

import array
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

ADDRESS_VARIABLE: Final = "FINETRACK_FORK_SERVER"
"""The folder with the sockets, one per kind of server."""
SERVER_KINDS: Final = ("dvc", "data", "training")
"""Each kind is a process of its own: they differ in what they import."""
SERVED_STAGES: Final = {
    "compose": "data",
    "prepare": "data",
    "augment": "data",
    "finetune": "training",
    "evaluate": "training",
}
"""Which server runs which stage: prepare and augment run without Ultralytics, which changes PIL and cv2."""
GREETING_SECONDS: Final = 10.0
"""How long a client waits for a server, which may be importing still, before it runs the command itself."""
REQUEST_SECONDS: Final = 5.0
"""How long a server waits for the request of a client that it has greeted."""
_MAX_BYTES: Final = 8 << 20
_MAX_FILES: Final = 4


def find_server(module: str, arguments: list[str]) -> str | None:
    """Return the kind of server that runs a module with these arguments; None if there is none."""
    if module == "dvc":
        return "dvc"
    return SERVED_STAGES.get(arguments[0]) if module == "pipeline" and len(arguments) == 1 else None


class _SocketFolder:
    """Names sockets by a descriptor of their folder: the path of a socket has 107 bytes at most."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def name_socket(self, kind: str) -> str:
        """Return a short path of a socket, for this process."""
        return f"/proc/self/fd/{self._descriptor}/{kind}"


class MessageConnection:
    """One end of a connection; messages are JSON objects, a line each."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._waiting = connection, b""
        self._files: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor of the socket, for selectors; -1 after `close`."""
        return self._connection.fileno()

    def connect(self, folder: Path, kind: str) -> None:
        """Connect to the server of this kind."""
        with _SocketFolder(folder) as place:
            self._connection.connect(place.name_socket(kind))

    def set_timeout(self, seconds: float | None) -> None:
        """Limit the time of each later call; None: no limit, 0: what cannot be done at once raises."""
        self._connection.settimeout(seconds)

    def read_peer_user(self) -> int:
        """Return the user id of the other process."""
        credentials = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[4:8], sys.byteorder)

    def send(self, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
        """Send a message, and open files with it.

        Raises:
            OSError: The other end is closed.
        """
        data = json.dumps(message, allow_nan=False).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        sent = self._connection.sendmsg([data], rights)
        if sent < len(data):  # an empty rest would fail where the other end has read all and closed
            self._connection.sendall(data[sent:])

    def receive(self) -> dict[str, Any] | None:
        """Receive a message; None at the end of the connection.

        Raises:
            ValueError: It is no message.
            OSError: The connection failed, or the time is over.
        """
        while b"\n" not in self._waiting:
            part = self._receive_part()
            if not part:
                return None
            self._waiting += part
            if len(self._waiting) > _MAX_BYTES:
                raise ValueError("a message that is too long")
        line, _, self._waiting = self._waiting.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("no message")
        return message

    def take_files(self) -> list[int]:
        """Return the open files that have come; the caller closes them."""
        taken, self._files = self._files, []
        return taken

    def close_files(self) -> None:
        """Close files that have come and that nobody took."""
        for file in self.take_files():
            os.close(file)

    def close(self) -> None:
        """Close the connection, and files that nobody took."""
        self.close_files()
        self._connection.close()

    def _receive_part(self) -> bytes:
        size = array.array("i").itemsize
        flags = socket.MSG_CMSG_CLOEXEC
        part, rights, _, _ = self._connection.recvmsg(1 << 16, socket.CMSG_SPACE(_MAX_FILES * size), flags)
        for _, _, data in rights:
            received = array.array("i")
            received.frombytes(data[: len(data) - len(data) % size])
            self._files += received
        return part


def listen_for_clients(folder: Path, kind: str) -> socket.socket:
    """Create the socket of a server; clients can connect from now on, and wait for the greeting."""
    (folder / kind).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _SocketFolder(folder) as place:
        listener.bind(place.name_socket(kind))
    listener.listen(128)
    return listener


def connect_to_server(folder: Path, kind: str) -> MessageConnection | None:
    """Connect to a server and wait for its greeting; None if it cannot be reached, or does not answer."""
    connection = MessageConnection(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    connection.set_timeout(GREETING_SECONDS)
    with suppress(OSError, ValueError):
        connection.connect(folder, kind)
        if "ready" in (connection.receive() or {}):
            connection.set_timeout(None)
            return connection
    connection.close()
    return None

"""A PostgreSQL server on this machine, for tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SERVER_USER = "nobody"
"""The server refuses to run as root."""


def explain_missing_server() -> str | None:
    """Return why no server can be started here; None if one can."""
    missing = [name for name in ("initdb", "pg_ctl") if find_program(name) is None]
    if missing:
        return f"there is no {missing[0]}: install the package postgresql"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "the server does not run as root, and there is no runuser"
    return None


def find_program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL; Debian keeps those of a server apart."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


class PostgresServer(NamedTuple):
    """A server that runs.

    Attributes:
        address: For `sweep.storage`; the user is the server's administrator.
        stop: Stops it.
        start: Starts it again.
    """

    address: str
    stop: Callable[[], None]
    start: Callable[[], None]


@contextmanager
def start_postgres(password: str | None = None) -> Iterator[PostgresServer]:
    """Start a server with an empty data folder, and stop it at the end.

    Args:
        password: Of its administrator; None lets everybody in.
    """
    folder, login = _create_folder(password)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off"
    data, log = str(folder / "data"), str(folder / "log")

    def start() -> None:
        _run(["pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"])

    def stop() -> None:
        _run(["pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"])

    try:
        _run(["initdb", "-D", data, *login, "-U", "team", "--no-sync"])
        start()
        try:
            yield PostgresServer(f"postgresql://team@127.0.0.1:{port}/postgres", stop, start)
        finally:
            stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create_folder(password: str | None) -> tuple[Path, list[str]]:
    """Create the server's folder; return it, and options of initdb for logins."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    secret = folder / "password"
    secret.write_text(password or "")
    if os.geteuid() == 0:
        shutil.chown(folder, SERVER_USER)
        shutil.chown(secret, SERVER_USER)
    return folder, ["-A", "scram-sha-256", "--pwfile", str(secret)] if password else ["-A", "trust"]


def _run(command: Sequence[str]) -> None:
    named = find_program(command[0]) or command[0]
    user = ["runuser", "-u", SERVER_USER, "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryFile() as output:  # a pipe would stay open in the server
        done = subprocess.run(
            [*user, named, *command[1:]], stdout=output, stderr=output, cwd=os.sep, check=False
        )
        output.seek(0)
        if done.returncode:
            raise RuntimeError(output.read().decode(errors="replace"))

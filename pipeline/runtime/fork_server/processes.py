"""Start the fork servers of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pipeline.runtime.fork_server.messages import SERVER_KINDS, listen_for_clients

_CLOSE_SECONDS: Final = 5.0


class ForkServer:
    """The fork servers of one sweep, one process per kind."""

    def __init__(self, folder: Path, servers: Sequence[subprocess.Popen[bytes]]) -> None:
        self._folder, self._servers = folder, servers

    @property
    def address(self) -> str:
        """The value of FINETRACK_FORK_SERVER for the processes of jobs; empty where there are no servers."""
        return str(self._folder) if self._servers else ""

    def list_pids(self) -> list[int]:
        """Return the process ids of the servers."""
        return [server.pid for server in self._servers]

    def build_command(self, module: str) -> list[str]:
        """Return the first words of a command that runs `python -m MODULE` in a fork, or else by itself.

        It has to start in the folder of a checkout, in the session of this process.

        Args:
            module: Such as dvc.
        """
        client = ["-m", "pipeline.runtime.fork_server.run"] if self._servers else ["-m"]
        return [sys.executable, *client, module]

    def close(self) -> None:
        """End the servers, and with them their forks. May be called twice."""
        for server in self._servers:
            if server.stdin:
                server.stdin.close()
        for server in self._servers:
            try:
                server.wait(_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def start_fork_server(folder: Path, *, code: Path, environment: Mapping[str, str]) -> ForkServer:
    """Start the fork servers of a sweep. They import in the background; requests wait for them.

    Args:
        folder: For their sockets and logs; only this user may enter it.
        code: The folder of a checkout whose code the jobs have. It has to stay while the servers run.
        environment: The variables that all jobs have in common. A command whose variables differ in what is
            read at import runs in a process of its own.

    Returns:
        The servers; none where forks are not safe: on systems other than Linux.
    """
    if sys.platform != "linux":
        return ForkServer(folder, [])
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return ForkServer(folder, [_start_server(folder, kind, code, environment) for kind in SERVER_KINDS])


def _start_server(
    folder: Path, kind: str, code: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "pipeline.runtime.fork_server", kind]
    with (folder / f"{kind}.log").open("ab") as log, listen_for_clients(folder, kind) as listener:
        return subprocess.Popen(
            [*words, str(listener.fileno()), str(os.getpid())],
            cwd=code,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            process_group=0,
        )

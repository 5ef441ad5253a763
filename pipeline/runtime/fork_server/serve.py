"""A fork server: imports the modules of its kind once, and runs commands in forks of itself.

It has one thread, ends with the process that started it, and kills its forks then. A fork whose client ends
is killed, too: nothing stays running that nobody waits for.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runtime.fork_server.imports import import_modules
from pipeline.runtime.fork_server.messages import REQUEST_SECONDS, MessageConnection
from pipeline.runtime.fork_server.process_state import (
    compute_code_digest,
    describe_interpreter,
    find_differing_variable,
)


class ForkRequest(NamedTuple):
    """What a fork runs: returned by `ForkServerLoop.serve` in the fork alone.

    Attributes:
        message: As the client sent it.
        files: stdin, stdout and stderr, and a pipe for the signals that arrive, if the client gave one.
        parent: The process id of the server.
    """

    message: Mapping[str, Any]
    files: list[int]
    parent: int


class _Fork(NamedTuple):
    """A running fork.

    Attributes:
        pid: Its process id.
        watch: A descriptor of the process, readable when it has ended.
        connection: To its client.
        leads: Whether it leads a process group of its own.
    """

    pid: int
    watch: int
    connection: MessageConnection
    leads: bool


class ForkServerLoop:
    """Accepts requests until the owner ends, or closes its end of stdin."""

    def __init__(self, kind: str, listener: int, *, owner: int, environment: Mapping[str, str]) -> None:
        """Note what the forks have in common.

        Args:
            kind: Of this server.
            listener: A descriptor of the listening socket.
            owner: The process id of the parent process.
            environment: Of this process at its start.
        """
        self._kind, self._environment, self._forks = kind, environment, dict[int, _Fork]()
        self._selector = selectors.DefaultSelector()
        self._interpreter = describe_interpreter()
        self._owner = os.pidfd_open(owner)
        self._listener = socket.socket(fileno=listener)
        self._code = compute_code_digest(Path.cwd()) if kind != "dvc" else ""

    def has_same_code(self) -> bool:
        """Return whether the code is still what it was before the imports."""
        return self._kind == "dvc" or compute_code_digest(Path.cwd()) == self._code

    def serve(self) -> ForkRequest | None:
        """Run commands in forks; return None at the end, and in a fork its request."""
        ends = (self._owner, sys.stdin.fileno())
        for source in (*ends, self._listener):
            self._selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._handle_event(key.data, key.fd)
                elif key.fd in ends:
                    for fork in self._forks.values():
                        _kill(fork)
                    return None
                elif request := self._accept():
                    return request

    def _accept(self) -> ForkRequest | None:
        """Greet a client and do what it asks; a client that fails or lies is dropped."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            connection = MessageConnection(self._listener.accept()[0])
            try:
                return self._answer(connection)
            except BaseException as error:
                _write_log(f"fork server {self._kind}: {type(error).__name__}: {error}")
                connection.close()
                raise
        return None

    def _answer(self, connection: MessageConnection) -> ForkRequest | None:
        connection.set_timeout(REQUEST_SECONDS)
        if connection.read_peer_user() != os.getuid():
            raise ValueError("another user")
        connection.send({"ready": os.getpid()})
        message = connection.receive()
        if message is None:
            raise ValueError("no request")
        refusal = self._find_difference(message)
        if refusal:
            _write_log(f"fork server {self._kind}: a command runs in a process of its own: {refusal}")
            connection.send({"refused": refusal})
            connection.close()
            return None
        return self._fork(message, connection)

    def _find_difference(self, message: Mapping[str, Any]) -> str | None:
        """Return why a command needs a process of its own; None if a fork is the same."""
        for name, value in self._interpreter.items():
            if message["interpreter"][name] != value:
                return f"its {name} differs"
        if message["code"] != self._code:
            return "its code differs"
        variable = find_differing_variable(self._environment, message["process"]["environment"])
        return f"{variable} differs" if variable else None

    def _fork(self, message: Mapping[str, Any], connection: MessageConnection) -> ForkRequest | None:
        server, group = os.getpid(), int(message["group"])
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, group)
                self._close_in_fork()
                return ForkRequest(message, connection.take_files(), server)
            except BaseException:  # it must not go on as a second server
                os._exit(1)
        try:
            self._watch_fork(pid, connection, leads=group == 0)
        except BaseException:  # the client runs the command itself then: it must not run twice
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        with suppress(OSError):  # the client has ended: the next event is the end of its connection
            connection.send({"started": pid})
        return None

    def _watch_fork(self, pid: int, connection: MessageConnection, *, leads: bool) -> None:
        connection.close_files()
        fork = _Fork(pid, os.pidfd_open(pid), connection, leads)
        try:
            self._selector.register(fork.watch, selectors.EVENT_READ, fork)
            self._selector.register(connection, selectors.EVENT_READ, fork)
        except BaseException:
            os.close(fork.watch)
            raise
        self._forks[pid] = fork

    def _close_in_fork(self) -> None:
        """Close what belongs to the server, but for the request's connection, which the fork never uses."""
        for fork in self._forks.values():
            fork.connection.close()
            os.close(fork.watch)
        self._selector.close()
        self._listener.close()
        os.close(self._owner)

    def _handle_event(self, fork: _Fork, descriptor: int) -> None:
        """Kill a fork whose client has ended; report the status of one that has ended."""
        if self._forks.get(fork.pid) is not fork:  # it ended in the same moment
            return
        if descriptor != fork.watch:
            self._selector.unregister(descriptor)
            _kill(fork)
            return
        _, status = os.waitpid(fork.pid, 0)
        del self._forks[fork.pid]
        self._selector.unregister(fork.watch)
        os.close(fork.watch)
        with suppress(KeyError):  # the client has ended before
            self._selector.unregister(fork.connection)
        with suppress(OSError):
            fork.connection.send({"status": status})
        fork.connection.close()


def _kill(fork: _Fork) -> None:
    with suppress(OSError):
        if fork.leads:
            os.killpg(fork.pid, signal.SIGKILL)
        else:
            os.kill(fork.pid, signal.SIGKILL)


def _write_log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def start_serving(
    kind: str, listener: int, *, owner: int, environment: Mapping[str, str]
) -> ForkRequest | None:
    """Import the modules of a kind and serve; return None at the end, and in a fork its request."""
    if os.getppid() != owner:
        return None
    loop = ForkServerLoop(kind, listener, owner=owner, environment=environment)
    obstacle = import_modules(kind)
    if obstacle is None and not loop.has_same_code():
        obstacle = "its code changed while it was imported"
    if obstacle:
        _write_log(f"fork server {kind}: commands run in processes of their own: {obstacle}")
        return None
    return loop.serve()

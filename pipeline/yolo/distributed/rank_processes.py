"""The processes of a training on this machine: start them, read their messages, notice dead ones, end all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Final, Self

from pipeline.core.errors import UserError
from pipeline.storage.code_digests import PACKAGE_FOLDER
from pipeline.yolo.distributed.group_member import CHANNEL_VARIABLE, GroupMember, build_variables
from pipeline.yolo.distributed.node_meeting import LOCAL_ADDRESS, NodeMeeting
from pipeline.yolo.distributed.rank_channel import END_ANSWER, GO_ON_ANSWER
from pipeline.yolo.distributed.rank_failure import RankFailure, choose_cause, describe_failure
from pipeline.yolo.ultralytics_environment import THREADS_VARIABLE, read_requested_threads

SILENT_SECONDS: Final = 45.0
"""A process without a sign of life for so long is stopped, or its machine is out of memory; it gives one each
second. With what Python needs to end the others, a run is FAILED within a minute."""
GRACE_SECONDS: Final = 2.0
"""How long further failures are awaited after the first: what is noticed first may be a consequence."""
_POLL_SECONDS: Final = 0.5
_MODULE: Final = "pipeline.yolo.distributed"
Message = dict[str, Any]


class RankProcess:
    """One process of a training, as the process that watches sees it.

    Attributes:
        member: Its place.
        device: Its device.
        connection: To it.
        log: Where its output is; None for the console.
    """

    def __init__(
        self, member: GroupMember, device: str, variables: Mapping[str, str], log: Path | None
    ) -> None:
        self.member, self.device, self.log = member, device, log
        self.connection, other = Pipe()
        self._silent, self._error = 0.0, RankFailure(member.rank, device)
        self.has_failed = self.has_ended = False
        environment = {**variables, **build_variables(member), CHANNEL_VARIABLE: str(other.fileno())}
        with (log or Path(os.devnull)).open("ab") as file:
            output = None if log is None else file
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(os.getpid())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(other.fileno(),),
                start_new_session=True,  # Ctrl-C is for the process that watches, which ends the others
            )
        other.close()

    def receive(self) -> Message | None:
        """Receive a message, and note what it says about the process; None if the connection is closed."""
        try:
            message: Message = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None
        self._silent = 0.0
        self.has_ended |= message["kind"] in {"end", "pruned"}
        if message["kind"] == "error":
            self.has_failed = True
            self._error = self._error._replace(
                text=message["text"], is_expected=message["expected"], lost_peer=message["lost_peer"]
            )
        return message

    def answer_epoch(self, *, ends: bool) -> None:
        """Tell the process that reported an epoch whether the training ends after it."""
        with suppress(OSError):
            self.connection.send_bytes(END_ANSWER if ends else GO_ON_ANSWER)

    def check(self, seconds: float) -> RankFailure | None:
        """Return how it failed; None for one that runs or has done its work.

        Args:
            seconds: Since the last call.
        """
        code = self._process.poll()
        while code is not None and not self.connection.closed and self.connection.poll():
            if self.receive() is None:
                self.connection.close()
        if self.has_ended:
            return None
        self._silent += seconds
        if code is not None or self.has_failed:
            return self._error._replace(exit_code=code)
        return self._error._replace(silent_seconds=self._silent) if self._silent > SILENT_SECONDS else None

    def kill(self) -> None:
        """End it and its worker processes at once; its checkpoints survive that."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()


class RankProcesses(AbstractContextManager["RankProcesses"]):
    """All processes of a training on this machine. At the end of the block none is left."""

    def __init__(
        self, members: Sequence[GroupMember], devices: Sequence[str], *, meeting: NodeMeeting, folder: Path
    ) -> None:
        """Start the processes.

        Args:
            members: Their places.
            devices: The device of each.
            meeting: Of the machines.
            folder: For the output of all but the first one.
        """
        self._members, self._devices, self._folder = members, devices, folder
        self._meeting, self._variables = meeting, _build_environment(meeting.host)
        self._ranks: list[RankProcess] = []

    def __enter__(self) -> Self:
        try:
            for member, device in zip(self._members, self._devices, strict=True):
                log = self._folder / f"rank{member.rank}.log" if member.rank else None
                self._ranks.append(RankProcess(member, device, self._variables, log))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for rank in self._ranks:
            rank.kill()

    def send_job(self, job: Any) -> None:
        """Give each process the training."""
        for rank in self._ranks:
            with suppress(OSError):  # it has ended: `read_messages` says so
                rank.connection.send((job, self._meeting.port))

    def read_messages(self) -> Iterator[tuple[RankProcess, Message]]:
        """Yield messages until all processes have done their work.

        Raises:
            UserError: A process, or another machine, failed or gives no sign of life.
        """
        last = time.monotonic()
        while not all(rank.has_ended for rank in self._ranks):
            yield from self._receive(_POLL_SECONDS)
            self._meeting.check()
            # a watcher that was itself stopped, as by Ctrl-Z, has heard nobody
            seconds, last = min(time.monotonic() - last, 2 * _POLL_SECONDS), time.monotonic()
            if any([rank.check(seconds) for rank in self._ranks]):
                yield from self._receive_last()
                raise self._build_error()

    def _receive(self, seconds: float) -> Iterator[tuple[RankProcess, Message]]:
        open_ = {rank.connection: rank for rank in self._ranks if not rank.connection.closed}
        for connection in wait(list(open_), seconds):
            assert isinstance(connection, Connection)
            message = open_[connection].receive()
            if message is None:
                connection.close()
            else:
                yield open_[connection], message
        if not open_:
            time.sleep(seconds)

    def _receive_last(self) -> Iterator[tuple[RankProcess, Message]]:
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            yield from self._receive(0.1)

    def _build_error(self) -> UserError:
        failures = [failure for rank in self._ranks if (failure := rank.check(0.0))]
        cause = choose_cause(failures)
        if cause.lost_peer:
            self._meeting.wait_for_cause()
        [log] = [rank.log for rank in self._ranks if rank.member.rank == cause.rank]
        return UserError(describe_failure(cause, str(log or "")))


def _build_environment(address: str) -> dict[str, str]:
    """Return the variables of the processes: those of this one, before Ultralytics changed the threads."""
    paths = [str(PACKAGE_FOLDER.parent), os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "MASTER_ADDR": address, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    variables.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else a lost connection prints a page of addresses
    variables.pop(THREADS_VARIABLE, None)
    if threads := read_requested_threads():
        variables[THREADS_VARIABLE] = str(threads)
    if address == LOCAL_ADDRESS and Path("/sys/class/net/lo").exists():
        variables.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the name of this machine may be unknown
    return variables

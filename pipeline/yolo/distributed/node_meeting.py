"""The machines of a training: they meet at the first one, check that they train the same, and end together.

The first machine opens a TCPStore, torch's table of keys and values, which the process group uses, too. Each
machine writes there that it lives, and why it ends; a machine that reads of an end, ends, too.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from torch import distributed

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.runtime.progress import print_notice
from pipeline.yolo.distributed.rank_failure import AGAIN

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

LOCAL_ADDRESS: Final = "127.0.0.1"
MEETING_SECONDS: Final = 600.0
"""How long the first machine waits for the others, and each of them for the first one."""
SILENT_SECONDS: Final = 45.0
"""A machine that writes no sign of life for so long is lost."""
END_SECONDS: Final = 120.0
"""How long a machine whose processes are done waits for the first one, which validates and writes."""
_SIGN_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.5
_DONE: Final = "done"


class NodeMeeting:
    """What one machine of a training says to the others, and hears from them. A context manager.

    Attributes:
        number: Of this machine, from 0.
        nodes: How many machines there are; one meets nobody.
        host: Where the store is.
        port: Of the store.
    """

    def __init__(self, store: TCPStore, *, number: int, nodes: int, host: str) -> None:
        self._store, self.number, self.nodes = store, number, nodes
        self.host, self.port = host, store.port
        self._others = [node for node in range(nodes) if node != number] if number == 0 else [0]
        self._signs = dict.fromkeys(self._others, (0, 0.0))
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.nodes == 1:
            return
        with suppress(RuntimeError):  # the store is gone
            text = _DONE if error is None else f"machine {self.number}: {error or type(error).__name__}"
            if self.number == 0:
                self._store.set("finetrack/end", text)
                self._wait_for_readers()
            elif error is not None:
                self._store.set("finetrack/failed", text)

    def check(self) -> None:
        """Write a sign of life, and read those of the others. Call it each second.

        Raises:
            UserError: Another machine failed, ended, or gives no sign of life.
        """
        if self.nodes == 1:
            return
        seconds = min(time.monotonic() - self._last, 2 * _SIGN_SECONDS)
        if seconds < _SIGN_SECONDS:
            return
        self._last = time.monotonic()
        try:
            self._store.add(f"finetrack/alive/{self.number}", 1)
            self._read_end()
            for node in self._others:
                self._read_sign(node, seconds)
        except distributed.DistError:
            raise self._build_loss(0) from None

    def wait_for_cause(self, seconds: float = 6.0) -> None:
        """Wait until another machine says why it ended; return if none does."""
        deadline = time.monotonic() + seconds
        while self.nodes > 1 and time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_SECONDS)

    def wait_for_others(self, key: str) -> None:
        """On the first machine: wait until all others have joined.

        Args:
            key: The run key, which the others compare with theirs.

        Raises:
            UserError: They do not come, or one trains something else.
        """
        if self.nodes == 1:
            return
        print_notice(
            f"finetune: waiting for {format_count(self.nodes - 1, 'more machine')}: type "
            f"`python -m pipeline join {self.host}:{self.port}` on each"
        )
        self._store.set("finetrack/key", key)
        deadline = time.monotonic() + MEETING_SECONDS
        while (present := self._store.add("finetrack/ready", 0) + 1) < self.nodes:
            self._store.add("finetrack/alive/0", 1)
            self._read_end()
            if time.monotonic() > deadline:
                raise UserError(
                    f"{present} of finetune.nodes={self.nodes} machines are there after "
                    f"{MEETING_SECONDS / 60:.0f} min: start the others, or set finetune.nodes"
                )
            time.sleep(_POLL_SECONDS)

    def wait_for_end(self) -> None:
        """On another machine than the first: wait until the first one has written the results."""
        deadline = time.monotonic() + END_SECONDS
        try:
            while not self._store.check(["finetrack/end"]):
                self.check()
                if time.monotonic() > deadline:
                    raise self._build_loss(0)
                time.sleep(_POLL_SECONDS)
            self._store.add("finetrack/read", 1)
            self._read_end()
        except distributed.DistError:
            raise self._build_loss(0) from None

    def _read_end(self) -> None:
        for name in ("finetrack/failed", "finetrack/end"):
            if self._store.check([name]) and (text := self._store.get(name).decode()) != _DONE:
                if name == "finetrack/end":
                    self._store.add("finetrack/read", 1)
                raise UserError(f"the training ended on {text}")

    def _read_sign(self, node: int, seconds: float) -> None:
        count = self._store.add(f"finetrack/alive/{node}", 0)
        before, silent = self._signs[node]
        silent = silent + seconds if count == before else 0.0
        self._signs[node] = count, silent
        if silent > SILENT_SECONDS:
            raise self._build_loss(node)

    def _wait_for_readers(self) -> None:
        """Keep the store until the others have read the end."""
        deadline = time.monotonic() + 3.0
        while self._store.add("finetrack/read", 0) < self.nodes - 1 and time.monotonic() < deadline:
            time.sleep(0.1)

    def _build_loss(self, node: int) -> UserError:
        return UserError(f"machine {node} of the training is lost or stopped; {AGAIN}")


def open_meeting(nodes: int, address: str | None) -> NodeMeeting:
    """Open the store on the first machine.

    Args:
        nodes: finetune.nodes.
        address: HOST:PORT that the other machines reach; not needed for one machine.

    Raises:
        UserError: There is no such address.
    """
    from torch._C._distributed_c10d import TCPStore  # some builds of torch lack it

    if nodes == 1:
        listener = socket.create_server((LOCAL_ADDRESS, 0))  # nobody else can connect
        port = listener.getsockname()[1]
        store = TCPStore(
            LOCAL_ADDRESS, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
        )
        return NodeMeeting(store, number=0, nodes=1, host=LOCAL_ADDRESS)
    host, port = parse_address(address or "")
    try:
        store = TCPStore(host, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30))
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{host}:{port} cannot be opened for the other machines ({reason})") from None
    return NodeMeeting(store, number=0, nodes=nodes, host=host)


def join_meeting(address: str, *, nodes: int, key: str) -> NodeMeeting:
    """Join the training of another machine.

    Args:
        address: HOST:PORT of the first machine.
        nodes: finetune.nodes.
        key: The run key of this machine's parameters, images, code and weights.

    Raises:
        UserError: The first machine cannot be reached, needs no more, or trains something else.
    """
    from torch._C._distributed_c10d import TCPStore

    host, port = parse_address(address)
    timeout = timedelta(seconds=MEETING_SECONDS)
    try:
        store = TCPStore(host, port, is_master=False, timeout=timeout)
        is_same = store.get("finetrack/key").decode() == key
        number = store.add("finetrack/joined", 1)
        if number < nodes and is_same:
            store.add("finetrack/ready", 1)
        elif number < nodes:  # one too many does not end a training that runs
            store.set("finetrack/failed", f"machine {number}: it trains something else")
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{host}:{port} cannot be reached ({reason})") from None
    if not is_same:
        raise UserError(
            "the first machine trains something else: have its commit, params.yaml, images and weights here"
        )
    if number >= nodes:
        raise UserError(f"finetune.nodes={nodes} machines are already there")
    return NodeMeeting(store, number=number, nodes=nodes, host=host)


def parse_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT.

    Raises:
        UserError: It is something else.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(
            f"{address!r} is not HOST:PORT: give the name and a free port of the first machine, which the "
            "others reach"
        )
    return host, int(port)

"""Start a fork server: `python -m pipeline.runtime.fork_server KIND SOCKET_DESCRIPTOR OWNER_PROCESS_ID`."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from pipeline.runtime.environment import set_environment
from pipeline.runtime.fork_server.run_fork import run_request
from pipeline.runtime.fork_server.serve import start_serving


def open_streams() -> None:
    """Open stdout and stderr as streams that work for any file, terminal or pipe that replaces their file.

    Python asks once whether it can seek in a file: here the answer is no.
    """
    reader, writer = os.pipe()
    for name, number in (("stdout", 1), ("stderr", 2)):
        log = os.dup(number)
        os.dup2(writer, number)
        stream = _open_stream(number, getattr(sys, name))
        os.dup2(log, number)
        os.close(log)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.close(reader)
    os.close(writer)


def _open_stream(number: int, like: io.TextIOWrapper) -> TextIO:
    raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(
        raw if like.write_through else io.BufferedWriter(raw),
        encoding=like.encoding,
        errors=like.errors,
        newline="\n",
        line_buffering=True,
        write_through=like.write_through,
    )


def main(kind: str, listener: str, owner: str) -> None:
    """Serve until the owner ends; in a fork, run its command."""
    open_streams()
    before = dict(os.environ)
    if kind != "dvc":
        set_environment()
    pid = os.getpid()
    request = start_serving(kind, int(listener), owner=int(owner), environment=before)
    if os.getpid() == pid:
        os._exit(0)  # without freeing what is imported: it takes a second, and some modules complain
    if request is not None:
        imported = {name: value for name, value in os.environ.items() if before.get(name) != value}
        run_request(request, kind, imported=imported)


if __name__ == "__main__":
    main(*sys.argv[1:])

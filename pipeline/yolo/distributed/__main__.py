"""One process of a training in several; `train_in_processes` starts it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

from pipeline.core.errors import PrunedError, UserError
from pipeline.yolo.distributed.group_member import CHANNEL_VARIABLE, read_member
from pipeline.yolo.distributed.rank_channel import RankChannel

_PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Train as one of several processes, and tell the process that watches how it ends."""
    _end_with_parent(int(sys.argv[1]))
    channel = RankChannel(int(os.environ[CHANNEL_VARIABLE]))
    channel.start_signs_of_life()
    job, port = channel.receive_job()
    try:
        _train(job, port, channel)
    except PrunedError:
        channel.send("pruned")
    except BaseException as error:
        _report_error(channel, error)
        return 1
    channel.send("end")
    return 0


def _train(job: Any, port: int, channel: RankChannel) -> None:
    from pipeline.yolo.distributed.process_group import join_later
    from pipeline.yolo.training.train import train_as_member

    join_later(port)
    first = read_member().rank == 0
    train_as_member(
        job,
        on_start=lambda effective: channel.send("start", effective=effective) if first else None,
        on_epoch=channel.report_epoch if first else None,
    )


def _report_error(channel: RankChannel, error: BaseException) -> None:
    """Tell why this process ends. An error that follows from the end of another process is marked."""
    from pipeline.yolo.distributed.process_group import is_lost_peer

    expected, lost = isinstance(error, UserError), is_lost_peer(error)
    if not expected and not lost:
        traceback.print_exc()
    text = str(error) if expected else " ".join(f"{type(error).__name__}: {error}".split())[:300]
    with suppress(OSError):
        channel.send("error", text=text, expected=expected, lost_peer=lost)


def _end_with_parent(parent: int) -> None:
    """Let Linux kill this process when the one that watches ends; elsewhere its next sign of life ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    STATUS = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STATUS)  # a process group that lost a member would wait for it

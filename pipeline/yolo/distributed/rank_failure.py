"""Why a training in several processes ended: which process failed first, and what to tell the user."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import NamedTuple

AGAIN = "run it again: the training goes on from its last checkpoint"


class RankFailure(NamedTuple):
    """How one process of a training failed.

    Attributes:
        rank: Of the process.
        device: Its device.
        exit_code: Negative for a signal; None for a process that still ran.
        text: What it said; empty if it said nothing.
        is_expected: Whether `text` is a sentence for the user.
        lost_peer: Whether it failed since another process was gone.
        silent_seconds: How long it gave no sign of life; 0 if that is not why.
    """

    rank: int
    device: str
    exit_code: int | None = None
    text: str = ""
    is_expected: bool = False
    lost_peer: bool = False
    silent_seconds: float = 0.0


def choose_cause(failures: Sequence[RankFailure]) -> RankFailure:
    """Return the failure that the others follow from.

    A process that loses another one fails by an error, or by SIGABRT of NCCL.

    Args:
        failures: At least one, in the order in which they were noticed.
    """
    return min(failures, key=_rate)


def describe_failure(failure: RankFailure, log: str) -> str:
    """Return a sentence for the user.

    Args:
        failure: The cause.
        log: Where its output is; empty for the console.
    """
    if failure.is_expected:
        return failure.text
    who = f"process {failure.rank} of the training ({failure.device})"
    where = f"; its output is in {log}" if log else ""
    return f"{who} {_describe_end(failure)}, and the others were ended{where}; {AGAIN}"


def _rate(failure: RankFailure) -> int:
    if failure.is_expected:
        return 0
    if failure.lost_peer:
        return 4
    if failure.exit_code is None or failure.exit_code >= 0:
        return 2 if failure.text or failure.silent_seconds else 3
    return 3 if failure.exit_code == -signal.SIGABRT else 1


def _describe_end(failure: RankFailure) -> str:
    if failure.silent_seconds:
        return f"gave no sign of life for {failure.silent_seconds:.0f} s"
    if failure.text:
        return f"lost another process ({failure.text})" if failure.lost_peer else f"failed ({failure.text})"
    code = failure.exit_code or 0
    if code >= 0:
        return f"ended early with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{memory}"

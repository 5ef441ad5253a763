"""Choose the status of a run at its end: FINISHED, FAILED or KILLED."""

from __future__ import annotations


def choose_end_status(error: BaseException) -> str:
    """Return `killed` after Ctrl-C or a signal, `failed` after any other exception.

    A block without an exception ends as `finished`. `recovery` closes the runs of processes that vanished.
    """
    return "killed" if isinstance(error, KeyboardInterrupt) else "failed"


def format_reason(error: BaseException) -> str:
    """Return kind and text of an exception on one line, 500 characters at most."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500].removesuffix(":")

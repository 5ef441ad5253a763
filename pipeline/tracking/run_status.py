"""Choose the status of a run at its end: FINISHED, FAILED or KILLED."""

from __future__ import annotations

from typing import Any

from pipeline.core.errors import PrunedError
from pipeline.tracking.store.run_tags import PRUNED_TAG, REASON_TAG


def choose_end_status(error: BaseException) -> str:
    """Return `killed` after Ctrl-C, a signal or the decision of a sweep, `failed` after any other exception.

    A training that was pruned has not finished, and nothing failed. A block without an exception ends as
    `finished`. `recovery` closes the runs of processes that vanished.
    """
    return "killed" if isinstance(error, KeyboardInterrupt | PrunedError) else "failed"


def build_end_tags(error: BaseException) -> dict[str, Any]:
    """Return the tags of a run that ends by an exception: why, and after which epoch a sweep pruned it."""
    if isinstance(error, PrunedError):
        return {REASON_TAG: str(error), PRUNED_TAG: error.epoch}
    return {REASON_TAG: format_reason(error)}


def format_reason(error: BaseException) -> str:
    """Return kind and text of an exception on one line, 500 characters at most."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500].removesuffix(":")

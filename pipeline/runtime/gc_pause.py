"""Import large packages without Python's garbage collector at their heels."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Switch the collector off for a block of imports, and have it leave out what they loaded for good.

    It would walk through all that is there, again and again, and find nothing to free: a third of the time
    that MLflow takes to load beside PyTorch (docs/decisions/tracking.md), and some of each later collection.
    Triton's bindings tell at the exit of all that was left out, as leaks: where it is loaded, nothing is.
    """
    was, known = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known and "triton" not in sys.modules:
            gc.freeze()
        if was:
            gc.enable()

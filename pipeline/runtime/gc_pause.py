"""Pause Python's garbage collector while large packages are imported."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_gc() -> Iterator[None]:
    """Disable the garbage collector for a block of imports, and exclude what they loaded for good.

    Otherwise it walks through all loaded objects again and again, and finds nothing to free: a third of the
    time that MLflow takes to load beside PyTorch (docs/decisions/tracking.md), and a part of each later
    collection. Triton's bindings report all excluded objects as leaks at exit: where Triton is loaded,
    nothing is excluded.
    """
    enabled, loaded = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > loaded and "triton" not in sys.modules:
            gc.freeze()
        if enabled:
            gc.enable()

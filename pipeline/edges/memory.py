"""Memory of images: the C library would hand it back after each, and fetch it again for the next."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1, 1 << 28
_MMAP_THRESHOLD: Final = -3, 1 << 25
"""Options of glibc's mallopt, and bytes: kept at the heap's end; taken from it (the largest value)."""


def keep_freed() -> None:
    """Let freed memory serve the next image: to fetch pages anew took a sixth of the time of `augment`.

    Where the C library is another, nothing changes.
    """
    with suppress(AttributeError, OSError, TypeError):
        tune = ctypes.CDLL(None).mallopt
        for option, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            tune(option, value)

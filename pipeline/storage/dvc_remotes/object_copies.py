"""Copy objects in parts, count them, and leave no part of a file where a disk is full."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

COPIED_AT_ONCE: Final = 256
"""Objects that are copied, and verified, before the next ones: an error ends the work after them."""
CountDone = Callable[[int], None]
"""Called with the number of objects that are done."""


def split_objects(oids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split objects into those that are copied at once."""
    for start in range(0, len(oids), COPIED_AT_ONCE):
        yield oids[start : start + COPIED_AT_ONCE]


def build_callback(count_done: CountDone) -> Any:
    """Build what DVC calls while it copies: it counts objects, and tells nothing of their bytes."""
    from fsspec.callbacks import Callback

    class CopyCallback(Callback):  # type: ignore[misc]  # fsspec has no types
        """Counts objects; the bytes of each one are not told."""

        def set_size(self, size: int) -> None:
            """Do nothing: the caller knows the number."""

        def relative_update(self, inc: int = 1) -> None:
            """Count objects."""
            count_done(inc)

    return CopyCallback()


def copy_whole_files(fs: Any) -> None:
    """Let a file system of this machine delete the part of a file that a full disk leaves of a copy."""
    if fs.protocol != "local":
        return
    from dvc_objects.fs.utils import copyfile, makedirs, tmp_fname

    def put_file(source: str, target: str, callback: Any = None, **_: Any) -> None:
        makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH120 - 100,000 files
        temporary = os.path.join(os.path.dirname(target), tmp_fname())  # noqa: PTH118, PTH120
        try:
            copyfile(source, temporary, callback=callback)
            os.replace(temporary, target)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    fs.fs.put_file = put_file

"""Where the base weights lie, found without torch, so that `compose` can fingerprint them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.storage.files import project_root


def locate(weights: str, folder: str | None) -> Path | None:
    """Find base weights among the files that the user provides; downloads are another module's business.

    Args:
        weights: `model.weights`: a path (a relative one starts at the project's root), or a name.
        folder: `model.folder`: a folder of weights, or None.
    """
    return next((path for path in candidates(weights, folder) if path.is_file()), None)


def candidates(weights: str, folder: str | None) -> Iterator[Path]:
    """Name the places that are looked into, in their order."""
    root = project_root()
    yield root / Path(weights).expanduser()
    if folder:
        yield root / Path(folder).expanduser() / weights

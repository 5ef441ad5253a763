"""Find the base weights on disk without torch, so that `compose` can fingerprint them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.core.paths import expand_home
from pipeline.storage.scratch_folder import project_root


def find_base_weights(weights: str, folder: str | None) -> Path | None:
    """Find base weights that the user provides; None if there are none. Nothing is downloaded.

    Args:
        weights: `model.weights`: a path, relative to the project's root, or a file name.
        folder: `model.folder`: a folder of weights, or None.
    """
    return next((path for path in iterate_candidate_paths(weights, folder) if path.is_file()), None)


def iterate_candidate_paths(weights: str, folder: str | None) -> Iterator[Path]:
    """Yield the paths where weights may be, in the order of the search."""
    root = project_root()
    yield root / expand_home(weights)
    if folder:
        yield root / expand_home(folder) / weights

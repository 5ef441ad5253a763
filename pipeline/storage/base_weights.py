"""Find the base weights on disk, and whose they are: without torch, as `compose` fingerprints them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pipeline.core.model_names import DOWNLOADABLE_WEIGHTS
from pipeline.core.paths import expand_home
from pipeline.storage.checksums import read_listed_sha256
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import project_root

WeightsOrigin = Literal["published", "named", "own"]
"""`published`: Ultralytics' or this project's, by their SHA-256, or downloaded from Ultralytics.
`named`: they have the name of official weights, which proves nothing. `own`: any other.
"""
_BUNDLED: Final = Path("models/foundation")


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


def find_weights_origin(weights: str, folder: str | None) -> WeightsOrigin:
    """Find out whose weights are.

    A SHA256SUMS that the user wrote beside weights says that they are intact, and not who trained them.

    Args:
        weights: A path, or a name such as yolo26n.pt.
        folder: `model.folder`.
    """
    path = find_base_weights(weights, folder)
    name = path.name if path else weights
    is_official = bool(DOWNLOADABLE_WEIGHTS.fullmatch(name))
    if path is None and is_official:  # Ultralytics' own is downloaded
        return "published"
    if path is not None and hash_file(path) == _find_published_sha256(path, is_official=is_official):
        return "published"
    return "named" if is_official or DOWNLOADABLE_WEIGHTS.fullmatch(Path(name).name) else "own"


def is_bundled_sha256(sha256: str) -> bool:
    """Check whether a SHA-256 is that of bundled weights."""
    files = (project_root() / _BUNDLED).glob("*.pt")
    return any(sha256 == read_listed_sha256(str(path), path) for path in files)


def _find_published_sha256(path: Path, *, is_official: bool) -> str | None:
    """Return the SHA-256 that a list of this project gives for a file; None where none names it."""
    if path.parent.resolve() == (project_root() / _BUNDLED).resolve():
        return read_listed_sha256(str(path), path)
    return read_listed_sha256(path.name) if is_official else None

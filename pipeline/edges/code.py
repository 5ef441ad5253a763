"""The code that is at work: a digest for each source file, a version for each library that computes."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

from pipeline.edges import files

LIBRARIES: Final = ("numpy", "torch", "ultralytics")


def digests() -> dict[str, str]:
    """Return a digest for each module of this package, by its path, and the versions of the libraries."""
    package = Path(__file__).parents[1]
    modules = {path.relative_to(package).as_posix(): files.sha256(path) for path in package.rglob("*.py")}
    return modules | {name: version(name) for name in LIBRARIES}

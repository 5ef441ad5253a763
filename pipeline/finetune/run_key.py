"""The name of an iteration: one hash over everything that decides what a training will do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipeline.storage import files


def key(
    *,
    params: Mapping[str, Any],
    data: Mapping[str, str],
    code: Mapping[str, str],
    weights: Mapping[str, str | None],
) -> str:
    """Hash parameters, data, code and weights to 64 hexadecimal digits.

    Args:
        params: The configuration that the training uses; JSON values.
        data: A digest for each dataset.
        code: A digest for each source file, a version for each library.
        weights: The SHA-256 of each file that the network is built, filled or taught from; None for none.
    """
    parts = {"params": params, "data": data, "code": code, "weights": weights}
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


LIBRARIES: Final = ("numpy", "torch", "ultralytics")


def digests() -> dict[str, str]:
    """Return a digest for each module of this package, by its path, and the versions of the libraries."""
    package = Path(__file__).parents[1]
    modules = {path.relative_to(package).as_posix(): files.sha256(path) for path in package.rglob("*.py")}
    return modules | {name: version(name) for name in LIBRARIES}

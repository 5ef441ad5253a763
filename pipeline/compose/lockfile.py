"""What `compose` leaves behind: compose.lock.json, and in scratch what is known of each params.yaml.

Standard library only: a `dvc repro` with nothing to do reads these two and stops.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.core.paths import LOCK, PARAMS
from pipeline.storage import files
from pipeline.storage.files import project_root

SCHEMA = Path(__file__).parents[1] / "config"


def read_lock() -> dict[str, Any]:
    """Return the last compose.lock.json; empty where it is absent or damaged: conf/ is composed anew."""
    try:
        lock = json.loads(LOCK.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return lock if isinstance(lock, dict) and {"conf", "composed"} <= lock.keys() else {}


def write_lock(lock: dict[str, Any]) -> None:
    """Write compose.lock.json where it says something new."""
    write(LOCK, (json.dumps(lock, indent=1, ensure_ascii=False) + "\n").encode())


def write(path: Path, content: bytes) -> None:
    """Write a file whole, unless it holds just that: its time then tells when it last changed."""
    if not path.exists() or path.read_bytes() != content:
        files.write(path, content)


def recall(params: bytes) -> dict[str, Any] | None:
    """Return the values of a params.yaml already found good under today's schema; None where it is not."""
    try:
        values = json.loads(_record(params).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def remember(params: bytes, values: dict[str, Any]) -> None:
    """Note that a params.yaml is good, and its values, so that the next command need not parse it."""
    files.write(_record(params), json.dumps(values))


def note_last(params: bytes) -> None:
    """Keep the params.yaml that the workspace goes by, which a refused `dvc exp run` would replace."""
    if _in_workspace():
        write(_last(), params)


def put_back(otherwise: Callable[[], bytes]) -> None:
    """Give the workspace the params.yaml that it had before a refused `dvc exp run`.

    Args:
        otherwise: Makes one where none is kept, as in a fresh clone.
    """
    if _in_workspace():
        write(PARAMS, _last().read_bytes() if _last().exists() else otherwise())


def _in_workspace() -> bool:
    """Tell whether this is the project's folder, and not one of DVC's temporary copies of it."""
    return Path.cwd().resolve() == project_root()


def _last() -> Path:
    return files.scratch() / "params.yaml"


def set_aside(params: bytes) -> Path:
    """Keep a copy of a params.yaml that is about to be replaced."""
    path = files.scratch("replaced") / f"params-{hashlib.sha256(params).hexdigest()[:8]}.yaml"
    files.write(path, params)
    return path


def _record(params: bytes) -> Path:
    schema = b"".join(path.read_bytes() for path in sorted(SCHEMA.glob("*.py")))
    return files.scratch("composed") / f"{hashlib.sha256(schema + params).hexdigest()}.json"

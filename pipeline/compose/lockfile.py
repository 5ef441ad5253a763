"""Read and write compose.lock.json, and cache the checked values of each params.yaml.

Standard library only: a `dvc repro` with nothing to do reads these two files and stops.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.config_diff import KeyDifference, diff_configs
from pipeline.core.paths import COMPOSE_LOCK_FILE, PARAMS_FILE
from pipeline.storage.files import write_file
from pipeline.storage.scratch_folder import create_scratch_folder, project_root

SCHEMA_FOLDER = Path(__file__).parents[1] / "config"
PARAMS_KEY: Final = "params"
"""The entry of compose.lock.json that holds the SHA-256 of params.yaml as `compose` left it."""
LAST_PARAMS_FILE: Final = "params.yaml"
"""The copy of the workspace's params.yaml in .finetrack."""
MAX_CHECKED_CONFIGS: Final = 32
"""Cached values of a params.yaml: those of the configurations that were used last."""


def read_lock() -> dict[str, Any]:
    """Return the last compose.lock.json; empty if it is absent or damaged: conf/ is then composed again."""
    try:
        return parse_lock(COMPOSE_LOCK_FILE.read_bytes())
    except OSError:
        return {}


def parse_lock(content: bytes) -> dict[str, Any]:
    """Parse a compose.lock.json; empty if it is damaged."""
    try:
        lock = json.loads(content)
    except ValueError:
        return {}
    return lock if isinstance(lock, dict) and {"conf", "composed"} <= lock.keys() else {}


def write_lock(lock: dict[str, Any]) -> None:
    """Write compose.lock.json if its content changed."""
    write_if_changed(
        COMPOSE_LOCK_FILE, (json.dumps(lock, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    )


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file atomically, unless it has this content already: its time shows when it last changed."""
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content)


def diff_composed(lock: dict[str, Any], composed: dict[str, Any]) -> list[KeyDifference]:
    """List the values that conf/ gives now and did not before: a comment or an unused file changes none.

    So an applied experiment stays when a sweep adds its best configuration to conf/experiment.
    """
    return diff_configs(lock.get("composed", {}), json.loads(json.dumps(composed, allow_nan=False)))


def recall_checked_values(params: bytes) -> dict[str, Any] | None:
    """Return the values of a params.yaml that was checked under this schema before; None otherwise."""
    try:
        values = json.loads(_cache_path(params).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def remember_checked_values(params: bytes, values: dict[str, Any]) -> None:
    """Cache the values of a valid params.yaml, so that the next command need not parse it."""
    path = _cache_path(params)
    write_file(path, json.dumps(values, allow_nan=False))
    kept = sorted(path.parent.glob("*.json"), key=_get_modification_time, reverse=True)
    for old in kept[MAX_CHECKED_CONFIGS:]:
        old.unlink(missing_ok=True)


def _get_modification_time(path: Path) -> float:
    """Return the time of the last change; 0 for a file that another process has just deleted."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def keep_last_params(params: bytes) -> None:
    """Keep a copy of the workspace's params.yaml, which a refused `dvc exp run` would replace."""
    if _is_workspace():
        write_if_changed(_last_params_path(), params)


def restore_last_params(otherwise: Callable[[], bytes]) -> None:
    """Restore the params.yaml that the workspace had before a refused `dvc exp run`.

    Args:
        otherwise: Returns the content if no copy is kept, as in a fresh clone.
    """
    if _is_workspace():
        write_if_changed(
            PARAMS_FILE, _last_params_path().read_bytes() if _last_params_path().exists() else otherwise()
        )


def _is_workspace() -> bool:
    """Return whether this is the project's folder, not one of DVC's temporary copies."""
    return Path.cwd().resolve() == project_root()


def _last_params_path() -> Path:
    return create_scratch_folder() / LAST_PARAMS_FILE


def save_replaced_params(params: bytes) -> Path:
    """Save a copy of a params.yaml that is about to be replaced; return its path."""
    path = create_scratch_folder("replaced") / f"params-{hashlib.sha256(params).hexdigest()[:8]}.yaml"
    write_file(path, params)
    return path


def save_differences(name: str, texts: Sequence[str]) -> Path:
    """Save differences of configurations, a line each; notes name the first ones. Return the path."""
    path = create_scratch_folder() / f"{name}.txt"
    write_if_changed(path, "".join(f"{text}\n" for text in texts).encode())
    return path


def _cache_path(params: bytes) -> Path:
    schema = b"".join(path.read_bytes() for path in sorted(SCHEMA_FOLDER.rglob("*.py")))
    return create_scratch_folder("composed") / f"{hashlib.sha256(schema + params).hexdigest()}.json"

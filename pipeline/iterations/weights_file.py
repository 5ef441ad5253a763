"""Make an iteration of a file of weights, with what its export wrote beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import expand_home
from pipeline.core.tasks import TASKS
from pipeline.iterations.iteration import Iteration
from pipeline.storage.files import hash_file

_SETTINGS: Final = ("conf", "iou", "max_det", "imgsz", "tile", "overlap")
FROM_VAL: Final = "val"
"""In the facts of an export: the threshold was chosen on val; else it is a default."""


def read_weights_file(text: str) -> Iteration:
    """Make the iteration of a file or a folder of weights.

    `finetrack export` writes facts beside what it exports: the threshold chosen on val, the image size,
    tiles and limits of boxes are used if the file is still the one that they are of.

    Args:
        text: Its path as the user typed it.

    Raises:
        UserError: There is no such file.
    """
    path = expand_home(text)
    if not path.exists():
        raise UserError(f"there is no file {text}: name an existing one, or a run")
    sha256 = hash_path(path)
    facts = _read_facts(path, sha256)
    return Iteration(
        text,
        "file",
        path.name,
        task=next((task for task in TASKS if task == facts.get("task")), None),
        sha256=sha256,
        predicts_with=_select_settings(facts),
        file=path,
    )


def name_facts_file(exported: Path) -> Path:
    """Return where the facts of an exported file or folder are: NAME.json beside it."""
    return exported.with_name(f"{exported.name}.json")


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder one of the names and contents of its files."""
    if path.is_file():
        return hash_file(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {hash_file(file)}\n".encode())
    return digest.hexdigest()


def _read_facts(path: Path, sha256: str) -> dict[str, Any]:
    """Read the facts beside a file; empty if there are none, or if they are of another file."""
    try:
        found = json.loads(name_facts_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("sha256") == sha256 else {}


def _select_settings(facts: dict[str, Any]) -> dict[str, float]:
    """Select how to predict; exports of an earlier version have no `predicts_with`."""
    known = facts.get("predicts_with")
    if not isinstance(known, dict):
        conf = facts.get("threshold") if facts.get("threshold_from") == FROM_VAL else None
        known = {"conf": conf, "imgsz": facts.get("imgsz")}
    return {
        name: value
        for name in _SETTINGS
        if isinstance(value := known.get(name), int | float) and (value > 0 or name == "overlap")
    }

"""The folder of a prediction: started, or continued if it was made with the same model and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.storage.files import write_file

SETTINGS_FILE: Final = "settings.json"
JOURNAL_FILE: Final = ".journal.jsonl"
LOCK_FILE: Final = ".lock"
_MAX_NAMED: Final = 3


class OutputFolder(NamedTuple):
    """A folder of a prediction.

    Attributes:
        path: The folder.
        is_continued: Whether an earlier run began it.
    """

    path: Path
    is_continued: bool

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / JOURNAL_FILE


def open_output_folder(path: Path, settings: Mapping[str, Any]) -> OutputFolder:
    """Create the folder, or continue it.

    Args:
        path: The folder.
        settings: What decides the results: model, sources and settings, as JSON.

    Raises:
        UserError: It has other files, or the results of other settings.
    """
    file, journal = path / SETTINGS_FILE, path / JOURNAL_FILE
    if file.is_file() and journal.is_file() and journal.stat().st_size:
        _require_same_settings(path, _read_settings(file), settings)
        return OutputFolder(path, True)
    own = {SETTINGS_FILE, JOURNAL_FILE, LOCK_FILE}  # of a run that ended before its first image
    others = [each.name for each in path.iterdir() if each.name not in own] if path.is_dir() else []
    if others and file.is_file():  # of one that ended before its first line in the journal
        _require_same_settings(path, _read_settings(file), settings)
        return OutputFolder(path, False)
    if others or (path.exists() and not path.is_dir()):
        raise UserError(f"{path} exists and is not of `finetrack predict`: name a new folder with --output")
    write_file(file, json.dumps(settings, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return OutputFolder(path, False)


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{file} is damaged: name a new folder with --output")
    return found


def _require_same_settings(path: Path, earlier: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    now = json.loads(json.dumps(settings, allow_nan=False))
    changed = [key for key in {**earlier, **now} if earlier.get(key) != now.get(key)]
    if not changed:
        return
    shown = ", ".join(
        f"{key} {_format(earlier.get(key))} there and {_format(now.get(key))} now"
        for key in changed[:_MAX_NAMED]
    )
    more = f" and {format_count(len(changed) - _MAX_NAMED, 'more')}" if len(changed) > _MAX_NAMED else ""
    raise UserError(
        f"{path} has the results of other settings ({shown}{more}): name a new folder with --output"
    )


def _format(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""What prepare knows of each image beside its labels: its group, brightness, and columns of the source.

It is an output of its own, since nothing is trained on it: other groups retrain no model.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import DamagedFileError, UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.storage.files import write_file

COLUMNS_FOLDER: Final = Path("data/columns")
COLUMNS_FILE: Final = "images.json"
MAX_VALUES: Final = 20
"""A column of the source with more values than this in a dataset does not sort images into kinds."""
_MAX_VALUE_LENGTH: Final = 60
_RERUN: Final = "run prepare again (dvc repro -f prepare)"


class ImageColumns(NamedTuple):
    """One image.

    Attributes:
        group: Near copies, and images of one group of data.group_by, have the same: the source of the first.
        brightness: Mean of its gray values, 0 black to 1 white; None if it is not known.
        sharpness: Variance of its Laplacian; None if it is not known.
        columns: Further columns of the source's table, with few values.
    """

    group: str
    brightness: float | None = None
    sharpness: float | None = None
    columns: Mapping[str, str] = {}


def write_image_columns(folder: Path, manifest: Manifest, images: Mapping[str, ImageColumns]) -> None:
    """Write images.json, a line per image.

    Args:
        folder: What becomes data/columns.
        manifest: Of the prepared dataset.
        images: By `source` of the manifest's images.
    """
    kept = _select_columns([images[item.source].columns for item in manifest.items])
    body = ",\n".join(_render_row(item, images[item.source], kept) for item in manifest.items)
    own = _hash_rows(json.loads(f"{{{body}}}"))
    head = f'"digest": "{manifest.digest}", "sha256": "{own}"'
    write_file(folder / COLUMNS_FILE, f'{{{head}, "images": {{\n{body}\n}}}}\n')


def remark_on_groups(name: str, root: Path = Path()) -> list[str]:
    """Return a sentence if the groups of near copies are not known, as in data of an older version.

    Args:
        name: Of the dataset, for people.
        root: The folder with data/columns.
    """
    if (root / COLUMNS_FOLDER / COLUMNS_FILE).exists():
        return []
    return [
        f"which images of {name} are near copies is not known, since it has no {COLUMNS_FOLDER}: "
        "if there are some, the intervals are too narrow"
    ]


def find_columns_root(prepared: Path) -> Path | None:
    """Return the project of a prepared dataset, whose data/columns knows its groups; None if it has none.

    Args:
        prepared: The folder of the dataset: data/prepared of a project, or a copy of it somewhere else.
    """
    root = prepared.resolve().parent.parent
    is_there = (
        root / PREPARED_FOLDER == prepared.resolve() and (root / COLUMNS_FOLDER / COLUMNS_FILE).exists()
    )
    return root if is_there else None


def read_image_columns(manifest: Manifest, root: Path = Path()) -> dict[str, ImageColumns]:
    """Read data/columns: by file of the manifest; where it is absent, each image has a group of its own.

    Args:
        manifest: Of the prepared dataset.
        root: The folder with data/columns.

    Raises:
        UserError: It is of another dataset, or damaged.
    """
    file = root / COLUMNS_FOLDER / COLUMNS_FILE
    if not file.exists():
        return {item.file: ImageColumns(item.source) for item in manifest.items}
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        if raw["digest"] != manifest.digest:
            raise UserError(f"{file} is not of the prepared dataset: {_RERUN}")
        if raw.get("sha256", own := _hash_rows(raw["images"])) != own:
            raise DamagedFileError(f"{file} is not as prepare wrote it: {_RERUN}", file=str(file))
        return {item.file: _parse_row(item, raw["images"][item.file]) for item in manifest.items}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{file} cannot be used ({error}): {_RERUN}", file=str(file)) from None


def _hash_rows(rows: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all rows, as the file has it beside them; older files have none."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _select_columns(rows: Sequence[Mapping[str, str]]) -> set[str]:
    """Return the columns that sort images into at least two kinds."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            known = values.setdefault(name, set())
            if value and len(known) <= MAX_VALUES:
                known.add(value)
    return {
        name
        for name, known in values.items()
        if 2 <= len(known) <= MAX_VALUES and max(map(len, known)) <= _MAX_VALUE_LENGTH
    }


def _render_row(item: ImageRecord, image: ImageColumns, kept: set[str]) -> str:
    row: dict[str, Any] = {} if image.group == item.source else {"group": image.group}
    row |= {
        name: value
        for name, value in (("brightness", image.brightness), ("sharpness", image.sharpness))
        if value is not None and math.isfinite(value)
    }
    chosen = {name: value for name, value in sorted(image.columns.items()) if name in kept and value}
    row |= {"columns": chosen} if chosen else {}
    return json.dumps({item.file: row}, ensure_ascii=False, allow_nan=False)[1:-1]


def _parse_row(item: ImageRecord, row: Mapping[str, Any]) -> ImageColumns:
    return ImageColumns(
        row.get("group", item.source), row.get("brightness"), row.get("sharpness"), row.get("columns", {})
    )

"""COCO categories: ids with gaps, ids that differ between files, parents that no object uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CocoJson = Mapping[str, Any]
CategoryIndices = Mapping[int | str, int]


def merge(files: Sequence[CocoJson]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put the categories of all files together by name, in the order of their ids.

    A category that is the parent (supercategory) of another, and that no object uses, is no class: Roboflow
    adds one to every export. Two ids of one name are one class.

    Returns:
        Class names by index, and remarks on what was left out.
    """
    rows = [row for file in files for row in _rows(file)]
    used = {_name(row) for file in files for row in _used(file)}
    parents = {str(row.get("supercategory")) for row in rows if row.get("supercategory") != row.get("name")}
    names = dict.fromkeys(_name(row) for row in rows)
    idle = [name for name in names if name in parents and name not in used]
    remarks = tuple(f"category {name!r} is a parent without objects: left out" for name in idle)
    return tuple(name for name in names if name not in idle), remarks


def indices(file: CocoJson, names: Sequence[str]) -> CategoryIndices:
    """Map the category ids of one file to class indices."""
    return {row["id"]: names.index(_name(row)) for row in _rows(file) if _name(row) in names}


def _rows(file: CocoJson) -> list[Mapping[str, Any]]:
    rows = [row for row in file["categories"] if isinstance(row.get("id"), int | str) and row.get("name")]
    return sorted(rows, key=lambda row: (isinstance(row["id"], str), row["id"]))


def _used(file: CocoJson) -> list[Mapping[str, Any]]:
    identities = {str(row.get("category_id")) for row in file["annotations"]}
    return [row for row in _rows(file) if str(row["id"]) in identities]


def _name(row: Mapping[str, Any]) -> str:
    return str(row["name"])

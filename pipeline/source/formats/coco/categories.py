"""Merge COCO categories: ids with gaps, ids that differ between files, unused parent categories."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.types import ReadOptions

_MAX_DIGITS: Final = 18
_MIN_UNKNOWN: Final = 3
_MAX_UNKNOWN_SHARE: Final = 0.2
"""If more annotations have an unknown category, the ids are those of another list."""
_MAX_SHOWN: Final = 8

CocoJson = Mapping[str, Any]
CategoryIndices = Mapping[str, int]
"""Class indices by category id, as `normalize_id` returns it."""


def normalize_id(value: object) -> str:
    """Return an id as text: files write the same id as 7, 7.0 or "7"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def merge_categories(files: Sequence[CocoJson]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Merge the categories of all files by name, in the order of their ids.

    A category that is the parent (supercategory) of another one and that no object uses is not a class:
    Roboflow adds one to every export. Two ids with the same name are one class.

    Returns:
        Class names by index, and remarks on the categories left out.
    """
    rows = [row for file in files for row in _sorted_categories(file)]
    used = {_category_name(row) for file in files for row in _used_categories(file)}
    parents = {str(row.get("supercategory")) for row in rows if row.get("supercategory") != row.get("name")}
    names = dict.fromkeys(_category_name(row) for row in rows)
    unused_parents = [name for name in names if name in parents and name not in used]
    remarks = tuple(f"category {name!r} is a parent without objects: left out" for name in unused_parents)
    return tuple(name for name in names if name not in unused_parents), remarks


def check_categories(files: Mapping[Path, CocoJson], options: ReadOptions) -> tuple[str, ...]:
    """Refuse files whose ids do not say what an object is; tell of categories with the same name.

    Args:
        files: The parsed files.
        options: `first_class`: auto checks.

    Returns:
        Remarks on categories of one file with the same name: they are one class.

    Raises:
        UserError: Many objects have no category or no image, or an id has two meanings.
    """
    remarks: list[str] = []
    for path, file in files.items():
        ids: dict[str, list[str]] = defaultdict(list)
        for row in _sorted_categories(file):
            ids[_category_name(row)].append(normalize_id(row["id"]))
        _check_image_ids(file, path)
        _check_repeated_ids(file, path, rows="images", name="file_name", reference="image_id")
        _check_repeated_ids(file, path, rows="categories", name="name", reference="category_id")
        if options.first_class == "auto":
            _check_ids([number for numbers in ids.values() for number in numbers], file, path)
        remarks += [
            f"{path.name}: categories {' and '.join(dict.fromkeys(numbers))} are one class, called {name!r}"
            for name, numbers in ids.items()
            if len(set(numbers)) > 1
        ]
    return tuple(dict.fromkeys(remarks))


def _check_image_ids(file: CocoJson, path: Path) -> None:
    """Refuse a file of which no annotation belongs to an image of its list."""
    listed = {normalize_id(row.get("id")) for row in file["images"]}
    stated = [normalize_id(row.get("image_id")) for row in file["annotations"]]
    if len(stated) >= _MIN_UNKNOWN and listed.isdisjoint(stated):
        raise UserError(
            f"no image_id of the {len(stated):,} annotations in {path}, such as {stated[0]!r}, is the id of "
            f"an image in its list, such as {min(listed, default='')!r}: correct the file"
        )


def _check_repeated_ids(file: CocoJson, path: Path, *, rows: str, name: str, reference: str) -> None:
    """Refuse an id in use that several images or categories have, as in files that were put together.

    Args:
        file: The parsed file.
        path: The file.
        rows: The list whose ids are checked: images or categories.
        name: What its rows are told apart by.
        reference: The key by which annotations name an id.

    Raises:
        UserError: There is such an id.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for row in file[rows]:
        if row.get(name):
            named[normalize_id(row.get("id"))].add(str(row[name]))
    several = [number for number, names in named.items() if len(names) > 1]
    used = {normalize_id(row.get(reference)) for row in file["annotations"]} if several else set()
    repeated = [number for number in several if number in used]
    if repeated:
        number = repeated[0]
        raise UserError(
            f"{path} gives one id to several {rows}, such as {number} to "
            f"{' and '.join(sorted(named[number])[:_MAX_SHOWN])}: its annotations may belong to any of them; "
            "give each its own id, and change the annotations"
        )


def _check_ids(known: Sequence[str], file: CocoJson, path: Path) -> None:
    used = Counter(normalize_id(row.get("category_id")) for row in file["annotations"])
    unknown = sum(count for number, count in used.items() if number not in known)
    if unknown < _MIN_UNKNOWN or unknown <= _MAX_UNKNOWN_SHARE * used.total():
        return
    first = next(number for number in used if number not in known)
    shifted = (
        known and first == "0" and min(known, key=_order_id) == "1" and max(known, key=_order_id) not in used
    )
    hint = (
        " (they look counted from 0, and the categories from 1: then all objects have a wrong name)"
        * bool(shifted)
    )
    raise UserError(
        f"{unknown:,} of {format_count(used.total(), 'annotation')} in {path} have a category_id that is "
        f"not in its categories ({', '.join(known[:_MAX_SHOWN])}), such as {first}{hint}: correct the file, "
        "or set data.first_class=0 to leave these annotations out"
    )


def map_category_ids(file: CocoJson, names: Sequence[str]) -> CategoryIndices:
    """Map the category ids of one file to class indices."""
    return {
        normalize_id(row["id"]): names.index(_category_name(row))
        for row in _sorted_categories(file)
        if _category_name(row) in names
    }


def _sorted_categories(file: CocoJson) -> list[Mapping[str, Any]]:
    rows = [
        row for row in file["categories"] if isinstance(row.get("id"), int | float | str) and row.get("name")
    ]
    return sorted(rows, key=lambda row: _order_id(normalize_id(row["id"])))


def _order_id(text: str) -> tuple[bool, int, str]:
    """Return a sort key: numbers in their order, then other ids."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return not is_number, int(text) if is_number else 0, text


def _used_categories(file: CocoJson) -> list[Mapping[str, Any]]:
    used_ids = {normalize_id(row.get("category_id")) for row in file["annotations"]}
    return [row for row in _sorted_categories(file) if normalize_id(row["id"]) in used_ids]


def _category_name(row: Mapping[str, Any]) -> str:
    return str(row["name"])

"""Interpret the tags of Supervisely images: each is a class, by its name or its value, or a split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline.core.text import format_count
from pipeline.source.types import find_split_in_name

_SPLIT_TAGS: Final = frozenset({"split", "subset", "set", "partition", "usage"})
_CHOICE: Final = "oneof_string"
"""The value_type in meta.json of a tag whose values are listed there; others have numbers or free text."""
_MIN_FEW: Final = 2
"""So few values are classes; of more, each one must occur twice on average, unlike a comment."""

Row = Mapping[str, Any]


class ImageTag(NamedTuple):
    """A tag of an image: its name, and its value; empty if it has none or one that is no text."""

    name: str
    value: str


class TagMeanings(NamedTuple):
    """How tags become classes.

    Attributes:
        by_value: Names of the tags whose value is the class.
        shared: Values that several of these tags have: the class is called NAME: VALUE.
        remarks: What was taken for the class.
    """

    by_value: frozenset[str]
    shared: frozenset[str]
    remarks: tuple[str, ...]

    def name_class(self, tag: ImageTag) -> str:
        """Return the class that a tag gives to its image: its value, as in species: cat, or its name."""
        if not tag.value or tag.name not in self.by_value:
            return tag.name
        return f"{tag.name}: {tag.value}" if tag.value in self.shared else tag.value


def list_tags(data: Row) -> tuple[ImageTag, ...]:
    """Return the tags of an image; old versions write the names alone."""
    tags = data.get("tags")
    pairs = [
        (tag.get("name"), tag.get("value")) if isinstance(tag, dict) else (tag, None)
        for tag in (tags if isinstance(tags, list) else ())
    ]
    return tuple(
        ImageTag(name, value.strip() if isinstance(value, str) else "")
        for name, value in pairs
        if isinstance(name, str)
    )


def get_split(tag: ImageTag) -> str | None:
    """Return the split that a tag names, such as train_1 or split: train: Supervisely marks splits so."""
    if _is_split_tag(tag):
        return find_split_in_name(tag.value)
    is_word = len(re.findall(r"[^\W\d_]+", tag.name)) == 1  # train station is a class
    return find_split_in_name(tag.name) if is_word else None


def is_class_tag(tag: ImageTag) -> bool:
    """Check whether a tag gives a class to its image: it is for no split."""
    return not _is_split_tag(tag) and get_split(tag) is None


def interpret_tags(tags: Iterable[ImageTag], metas: Sequence[Row]) -> TagMeanings:
    """Decide of which tags the value is the class: of those with a choice of values, not with free text.

    Args:
        tags: The tags of all images.
        metas: The contents of each meta.json. A tag that none declares has a choice of values if it alone
            has values, and few of them differ.
    """
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for tag in tags:
        if tag.value and is_class_tag(tag):
            values[tag.name][tag.value] += 1
    declared = _list_value_types(metas)
    chosen = frozenset(
        name
        for name in values
        if (declared[name] == {_CHOICE} if name in declared else len(values) == 1 and _are_few(values[name]))
    )
    spread = Counter(value for name in chosen for value in values[name])
    shared = frozenset(value for value, number in spread.items() if number > 1)
    return TagMeanings(chosen, shared, tuple(_describe_classes(chosen, values.keys() - chosen, shared)))


def describe_unknown_splits(tags: Iterable[ImageTag]) -> list[str]:
    """Return a remark about tags that are called like a split, and have no split as their value."""
    unknown = Counter(tag for tag in tags if _is_split_tag(tag) and get_split(tag) is None)
    if not unknown:
        return []
    tag = min(unknown)
    number = format_count(unknown.total(), "tag")
    shown = f"{tag.name}: {tag.value[:40]!r}"
    return [f"{number} of images left aside, such as {shown}: the value is none of train, val and test"]


def _is_split_tag(tag: ImageTag) -> bool:
    return bool(tag.value) and tag.name.strip().lower() in _SPLIT_TAGS


def _list_value_types(metas: Sequence[Row]) -> dict[str, set[str]]:
    """Return the value types of each tag that a meta.json declares; several projects may differ."""
    types: dict[str, set[str]] = defaultdict(set)
    for meta in metas:
        rows = meta.get("tags")
        for row in rows if isinstance(rows, list) else ():
            name = row.get("name") if isinstance(row, dict) else None
            if isinstance(name, str) and isinstance(row.get("value_type"), str):
                types[name].add(row["value_type"])
    return dict(types)


def _are_few(values: Counter[str]) -> bool:
    return len(values) <= max(_MIN_FEW, values.total() / 2)


def _describe_classes(chosen: Iterable[str], others: Iterable[str], shared: Iterable[str]) -> Iterable[str]:
    if names := ", ".join(sorted(chosen)):
        yield f"classes are the values of the tags {names}"
    if values := ", ".join(sorted(shared)):
        yield f"several tags have the values {values}: these classes are called by tag and value"
    if names := ", ".join(sorted(others)):
        yield f"the values of the tags {names} are no choice of classes: the tag's name is the class"

"""Which classes of a source are used, and under which names: keep, drop, merge, rename."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, TypeVar

import numpy as np

from pipeline.core.boxes import Indices, Raw
from pipeline.core.refusal import Refused

_T = TypeVar("_T")


class Choice(NamedTuple):
    """The classes that are used.

    Attributes:
        names: Their names by index, in the order of the source.
        becomes: For each class of the source its new index; None where it is left out.
    """

    names: tuple[str, ...]
    becomes: tuple[int | None, ...]


def choose(
    names: Sequence[str], *, keep: Sequence[str] | None, drop: Sequence[str], rename: Mapping[str, str]
) -> Choice:
    """Choose among the classes of a source; two that get one name become one.

    Args:
        names: The classes of the source.
        keep: Those that are used; all where None.
        drop: Those that are not.
        rename: New names by names of the source.

    Raises:
        Refused: A name that is none of the source's, a contradiction, or no class is left.
    """
    for key, wanted in (("keep", keep or ()), ("drop", drop), ("rename", rename)):
        _known(wanted, names, key)
    used = [name for name in names if (keep is None or name in keep) and name not in drop]
    for name in (*(keep or ()), *rename):
        if name not in used:
            raise Refused(f"data.classes leaves out {name!r}, and keeps or renames it too: decide for one")
    if not used:
        raise Refused(f"data.classes leaves no class: keep one or more of {', '.join(names)}")
    called = {name: rename.get(name, name) for name in used}
    chosen = tuple(dict.fromkeys(called.values()))
    becomes = tuple(chosen.index(called[name]) if name in called else None for name in names)
    return Choice(chosen, becomes)


def apply(choice: Choice, raw: Raw) -> Raw:
    """Give objects their new classes, without those left out; an index that no class has stays as it is."""
    kept = np.flatnonzero([_new(choice, cls) is not None for cls in raw.classes.tolist()])
    classes = [_new(choice, int(raw.classes[index])) for index in kept]
    return Raw(
        np.array(classes, np.int64),
        raw.boxes[kept],
        _at(raw.marks, kept),
        _at(raw.outlines, kept),
        _at(raw.keypoints, kept),
    )


def _new(choice: Choice, cls: int) -> int | None:
    return choice.becomes[cls] if 0 <= cls < len(choice.becomes) else cls


def _at(items: tuple[_T, ...], kept: Indices) -> tuple[_T, ...]:
    return tuple(items[index] for index in kept) if items else ()


def _known(wanted: Iterable[str], names: Sequence[str], key: str) -> None:
    lower = {name.lower(): name for name in names}
    for name in wanted:
        if name not in names:
            near = get_close_matches(name.lower(), lower, n=1)
            what = f"did you mean {lower[near[0]]!r}?" if near else f"there are {', '.join(names)[:200]}"
            raise Refused(f"data.classes.{key} names {name!r}, but no class is called so: {what}")

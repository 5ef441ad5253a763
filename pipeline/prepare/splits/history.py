"""What earlier divisions decided, so that images which come later do not move those that were there.

Splits are stratified, so where an image goes depends on the others: without a memory, a few new images would
move old ones from test to train. The memory goes by contents, not by names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SplitTerms = dict[str, Any]
TERMS: Final = ("seed", "split", "keep_split", "group_by")
"""Keys of conf/data to whose values a division is bound: others start afresh."""
SHAPES: Final = (*TERMS, "format", "task", "classes", "on_defect", "near_duplicates", "folds")
"""Keys of conf/data that decide which images there are to be divided, and how."""
REST: Final = "rest"
"""The side of an image of train or val whose fold, or which of the two, is to be dealt out anew."""
_DIGITS: Final = 16
"""Of SHA-256: with 64 bits, two of a million images are taken for one in one of 40 million data sets."""


class SplitHistory(NamedTuple):
    """A division to go on from.

    Attributes:
        terms: The values of TERMS under which it was made; empty where there is none.
        folds: Number of folds, if it was into folds.
        sides: By contents (`short`): train, val or test; or the fold, or `rest`.
    """

    terms: SplitTerms
    folds: int | None
    sides: dict[str, str]


NOTHING: Final = SplitHistory({}, None, {})


def short(sha256: str) -> str:
    """Name an image by the first digits of its hash."""
    return sha256[:_DIGITS]


def render(earlier: SplitHistory) -> str:
    """Write a division as JSON, a line per side.

    A list, of which `dvc metrics show` shows nothing: DVC keeps no results of a stage with an out that is in
    git, unless that is a metric, and so reports/splits.json is one.
    """
    return f"[{_body(earlier)}]\n"


def parse(text: str) -> SplitHistory:
    """Read a division.

    Raises:
        ValueError: It is none.
    """
    raw = json.loads(text)
    if not isinstance(raw, list) or len(raw) != 1:
        raise ValueError("no division of images")
    return _earlier(raw[0])


def render_all(divisions: Mapping[str, SplitHistory]) -> str:
    """Write divisions under several terms as JSON."""
    lines = ",\n".join(f'"{name}": {_body(each)}' for name, each in sorted(divisions.items()))
    return f"{{\n{lines}\n}}\n"


def parse_all(text: str) -> dict[str, SplitHistory]:
    """Read divisions under several terms, by `name_of` their terms.

    Raises:
        ValueError: They are none.
    """
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError("no divisions of images")
    return {name: _earlier(each) for name, each in raw.items()}


def terms_of(data: Mapping[str, Any]) -> SplitTerms:
    """Return those values of conf/data that a division is bound to."""
    return {key: data[key] for key in TERMS}


def name_of(terms: SplitTerms) -> str:
    """Name terms, the same however their numbers are written."""
    split = {key: float(weight) for key, weight in terms["split"].items()}
    return _digest({**terms, "split": split})[:_DIGITS]


def digest(data: Mapping[str, Any], source: str) -> str:
    """Name what is to be divided.

    Args:
        data: The values of conf/data.
        source: The fingerprint of the source.
    """
    return _digest([source, {key: data[key] for key in SHAPES}])


def carry_on(divisions: Mapping[str, SplitHistory], data: Mapping[str, Any]) -> tuple[SplitHistory, str]:
    """Find the division that the next one goes on from.

    Args:
        divisions: Earlier ones, by `name_of` their terms.
        data: The values of conf/data.

    Returns:
        The division to start from, and what a user should know, if anything.
    """
    now, folds = terms_of(data), data["folds"]
    before = divisions.get(name_of(now))
    if before is None:
        return NOTHING, _afresh(divisions)
    if before.folds == folds:
        return before, ""
    sides = {key: side if side == "test" else REST for key, side in before.sides.items()}
    return SplitHistory(now, folds, sides), ""


def _afresh(divisions: Mapping[str, SplitHistory]) -> str:
    if not divisions:
        return ""
    keys = ", ".join(f"data.{key}" for key in TERMS)
    return f"one of {keys} is new: images are divided afresh, and may leave test"


def _body(earlier: SplitHistory) -> str:
    sides: dict[str, list[str]] = {}
    for key, side in sorted(earlier.sides.items()):
        sides.setdefault(side, []).append(key)
    lines = [f'  "{side}": "{" ".join(keys)}"' for side, keys in sorted(sides.items())]
    head = json.dumps({"terms": earlier.terms, "folds": earlier.folds}, ensure_ascii=False)
    return head[:-1] + ', "sides": {\n' + ",\n".join(lines) + "\n}}"


def _earlier(raw: Any) -> SplitHistory:
    try:
        sides = {key: side for side, keys in raw["sides"].items() for key in keys.split()}
        return SplitHistory(dict(raw["terms"]), raw["folds"], sides)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no division of images ({error})") from None


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

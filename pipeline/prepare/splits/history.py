"""Split history: earlier assignments, so that new images do not move old ones to another split.

Splits are stratified, so the split of an image depends on the other images: without a history, a few new
images would move old ones from test to train. Images are identified by their contents, not by their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SplitTerms = dict[str, Any]
TERM_KEYS: Final = ("seed", "split", "keep_split", "group_by")
"""Keys of conf/data whose values a history belongs to: with other values, the split is made anew."""
SPLIT_INPUT_KEYS: Final = (
    *(*TERM_KEYS, "format", "task", "classes", "on_defect", "near_duplicates", "folds"),
    *("unlabelled", "crowds", "predictions", "labels", "first_class", "sizes"),
)
"""Keys of conf/data that decide which images are split, and how."""
UNDECIDED: Final = "rest"
"""Stored for an image of train or val whose fold, or whose choice of the two, is to be assigned anew."""
_KEY_DIGITS: Final = 16
"""Digits of SHA-256: 64 bits, with which two of a million images collide in one of 40 million data sets."""


class SplitHistory(NamedTuple):
    """An earlier assignment of images to splits.

    Attributes:
        terms: The values of TERM_KEYS it was made with; empty if there is none.
        folds: Number of folds; None without folds.
        sides: By `shorten_hash` of the contents: train, val or test; or the fold, or `rest`.
    """

    terms: SplitTerms
    folds: int | None
    sides: dict[str, str]


NO_HISTORY: Final = SplitHistory({}, None, {})


def shorten_hash(sha256: str) -> str:
    """Return the first digits of an image's hash, by which the history knows it."""
    return sha256[:_KEY_DIGITS]


def render_history(history: SplitHistory) -> str:
    """Write a history as JSON, a line per split.

    It is a list, since `dvc metrics show` shows nothing of a list. reports/splits.json must be a DVC metric:
    DVC caches no results of a stage with an output in git unless that is a metric.
    """
    return f"[{_render_body(history)}]\n"


def parse_history(text: str) -> SplitHistory:
    """Parse a history.

    Raises:
        ValueError: The text is not a history.
    """
    raw = json.loads(text)
    if not isinstance(raw, list) or len(raw) != 1:
        raise ValueError("not a split history")
    return _parse_body(raw[0])


def render_histories(histories: Mapping[str, SplitHistory]) -> str:
    """Write the histories of several terms and numbers of folds as JSON."""
    lines = ",\n".join(f'"{name}": {_render_body(each)}' for name, each in sorted(histories.items()))
    return f"{{\n{lines}\n}}\n"


def parse_histories(text: str) -> dict[str, SplitHistory]:
    """Parse the histories of several terms and numbers of folds; the keys are those of `add_history`.

    Raises:
        ValueError: The text does not hold histories.
    """
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError("not split histories")
    return {name: _parse_body(each) for name, each in raw.items()}


def select_terms(data: Mapping[str, Any]) -> SplitTerms:
    """Return the values of conf/data that a history belongs to."""
    return {key: data[key] for key in TERM_KEYS}


def digest_terms(terms: SplitTerms) -> str:
    """Return a digest of terms; 2 and 2.0 give the same."""
    split = {key: float(weight) for key, weight in terms["split"].items()}
    return _digest({**terms, "split": split})[:_KEY_DIGITS]


def digest_split_inputs(data: Mapping[str, Any], source: str, code: str) -> str:
    """Return a digest of everything that decides a split, except its history.

    Args:
        data: The values of conf/data.
        source: The fingerprint of the source.
        code: The digest of prepare's code.
    """
    return _digest([source, code, {key: data[key] for key in SPLIT_INPUT_KEYS}])


def find_history(histories: Mapping[str, SplitHistory], data: Mapping[str, Any]) -> tuple[SplitHistory, str]:
    """Find the history that the next split starts from.

    Images keep the split or fold that they had with the same number of folds. What was in test with any
    number of folds is in test; other images that are known from another number of folds are undecided.

    Args:
        histories: Earlier ones, with the keys of `add_history`.
        data: The values of conf/data.

    Returns:
        The history, and a note for the user; the note may be empty.
    """
    terms, folds = select_terms(data), data["folds"]
    same = _select_same_terms(histories, digest_terms(terms))
    if not same:
        return NO_HISTORY, _explain_new_split(histories)
    sides = {key: UNDECIDED for each in same for key in each.sides}
    for own in (each for each in same if each.folds == folds):
        terms, sides = own.terms, sides | own.sides
    in_test = (key for each in same for key, side in each.sides.items() if side == "test")
    return SplitHistory(terms, folds, sides | dict.fromkeys(in_test, "test")), ""


def add_history(histories: Mapping[str, SplitHistory], last: SplitHistory) -> dict[str, SplitHistory]:
    """Add the history of the last `prepare`, united with the one of the same terms and number of folds.

    Of an image that both know, the last one's split counts. Test wins: the two may come from two branches.

    Args:
        histories: Earlier ones. A file of an earlier version has one for the terms, whatever its folds.
        last: The one to add.
    """
    same = _select_same_terms(histories, digest_terms(last.terms))
    others = {name: each for name, each in histories.items() if each not in same}
    for each in same:
        if each.folds == last.folds:
            last = last._replace(sides=_unite_sides(each.sides, last.sides))
    return others | {_name_history(each): each for each in [*same, last]}


def _unite_sides(earlier: Mapping[str, str], last: Mapping[str, str]) -> dict[str, str]:
    return {**earlier, **last, **{key: side for key, side in earlier.items() if side == "test"}}


def _select_same_terms(histories: Mapping[str, SplitHistory], digest: str) -> list[SplitHistory]:
    """Return the histories of terms, one for each number of folds."""
    return [each for name, each in histories.items() if name.partition("-")[0] == digest]


def _name_history(history: SplitHistory) -> str:
    """Return the key of a history among others: the digest of its terms, and its number of folds."""
    digest = digest_terms(history.terms)
    return digest if history.folds is None else f"{digest}-{history.folds}"


def _explain_new_split(histories: Mapping[str, SplitHistory]) -> str:
    if not histories:
        return ""
    keys = ", ".join(f"data.{key}" for key in TERM_KEYS)
    return f"one of {keys} is new: all images are split again, and may leave test"


def _render_body(history: SplitHistory) -> str:
    sides: dict[str, list[str]] = {}
    for key, side in sorted(history.sides.items()):
        sides.setdefault(side, []).append(key)
    lines = [f'  "{side}": "{" ".join(keys)}"' for side, keys in sorted(sides.items())]
    head = json.dumps({"terms": history.terms, "folds": history.folds}, ensure_ascii=False, allow_nan=False)
    return head[:-1] + ', "sides": {\n' + ",\n".join(lines) + "\n}}"


def _parse_body(raw: Any) -> SplitHistory:
    try:
        sides = {key: side for side, keys in raw["sides"].items() for key in keys.split()}
        return SplitHistory(dict(raw["terms"]), raw["folds"], sides)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a split history ({error})") from None


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, allow_nan=False).encode()).hexdigest()

"""The memory of divisions, carried from one `prepare` to the next through files that git keeps.

`prepare` writes where each image went to reports/splits.json. When the source or conf/data changes,
`compose` takes that over into splits.lock.json, from which the next `prepare` goes on, and notes its digest
in compose.lock.json, which DVC tracks: the same source, configuration and memory give the same division, in
every clone. As long as nothing changes, neither does the memory, and nothing reruns. DVC deletes
reports/splits.json before `prepare` runs; by then it is in splits.lock.json.

Standard library only, as all that a `dvc repro` with nothing to do passes through.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import DIVISION, EARLIER, LOCK
from pipeline.prepare.splits import history
from pipeline.prepare.splits.history import NOTHING, SplitHistory, name_of, parse_all, render_all
from pipeline.storage.files import project_root


class StoredSplit(NamedTuple):
    """What the next `prepare` goes on from.

    Attributes:
        content: Of splits.lock.json; None where it stays as it is.
        entries: Of compose.lock.json.
        notes: What a user should know.
    """

    content: bytes | None
    entries: dict[str, str]
    notes: list[str]


def carry_on(data: Mapping[str, Any], source: str, lock: Mapping[str, Any]) -> StoredSplit:
    """Take over what the last `prepare` decided, if another one is due.

    Args:
        data: The values of conf/data.
        source: The source's fingerprint.
        lock: The last compose.lock.json.
    """
    now = history.digest(data, source)
    if lock.get("divides") == now and "earlier" in lock and EARLIER.exists():
        return StoredSplit(None, {"divides": now, "earlier": lock["earlier"]}, [])
    known = _known()
    start, note = (NOTHING, "") if data["source"] is None else history.carry_on(known, data)
    entries = {"divides": now, "earlier": _digest(start)}
    return StoredSplit(render_all(known).encode(), entries, [note] if note else [])


def read(data: Mapping[str, Any]) -> SplitHistory:
    """Return the division that `prepare` goes on from.

    Args:
        data: The values of conf/data.

    Raises:
        Refused: It is not the one that compose noted.
    """
    if data["source"] is None or not EARLIER.exists():
        return NOTHING
    start, _ = history.carry_on(_parsed(EARLIER), data)
    noted = json.loads(LOCK.read_text("utf-8")).get("earlier") if LOCK.exists() else None
    if noted not in {None, _digest(start)}:
        raise UserError(f"{EARLIER} was changed since compose: run `dvc repro`, which composes first")
    return start


def _known() -> dict[str, SplitHistory]:
    """Return all divisions on record; the last one is in the project also where this is DVC's copy of it."""
    known = _parsed(EARLIER) if EARLIER.exists() else {}
    for place in (DIVISION, project_root() / DIVISION):
        if place.exists():
            last = _parse(place)
            return known | ({name_of(last.terms): last} if last.sides else {})
    return known


def _parsed(path: Path) -> dict[str, SplitHistory]:
    try:
        return parse_all(path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from None


def _parse(path: Path) -> SplitHistory:
    try:
        return history.parse(path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read ({error}): restore it with `git checkout {path}`, or delete it, and images "
        "may move between train and test"
    )


def _digest(start: SplitHistory) -> str:
    return hashlib.sha256(history.render(start).encode()).hexdigest()

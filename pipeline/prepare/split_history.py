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

from pipeline.core import paths
from pipeline.core.errors import Refused
from pipeline.prepare.splits import history
from pipeline.prepare.splits.history import Earlier
from pipeline.storage import files


class Carried(NamedTuple):
    """What the next `prepare` goes on from.

    Attributes:
        content: Of splits.lock.json; None where it stays as it is.
        entries: Of compose.lock.json.
        notes: What a user should know.
    """

    content: bytes | None
    entries: dict[str, str]
    notes: list[str]


def carry_on(data: Mapping[str, Any], source: str, lock: Mapping[str, Any]) -> Carried:
    """Take over what the last `prepare` decided, if another one is due.

    Args:
        data: The values of conf/data.
        source: The source's fingerprint.
        lock: The last compose.lock.json.
    """
    now = history.digest(data, source)
    if lock.get("divides") == now and "earlier" in lock and paths.EARLIER.exists():
        return Carried(None, {"divides": now, "earlier": lock["earlier"]}, [])
    known = _known()
    start, note = (history.NOTHING, "") if data["source"] is None else history.carry_on(known, data)
    entries = {"divides": now, "earlier": _digest(start)}
    return Carried(history.render_all(known).encode(), entries, [note] if note else [])


def read(data: Mapping[str, Any]) -> Earlier:
    """Return the division that `prepare` goes on from.

    Args:
        data: The values of conf/data.

    Raises:
        Refused: It is not the one that compose noted.
    """
    if data["source"] is None or not paths.EARLIER.exists():
        return history.NOTHING
    start, _ = history.carry_on(_parsed(paths.EARLIER), data)
    noted = json.loads(paths.LOCK.read_text("utf-8")).get("earlier") if paths.LOCK.exists() else None
    if noted not in {None, _digest(start)}:
        raise Refused(f"{paths.EARLIER} was changed since compose: run `dvc repro`, which composes first")
    return start


def _known() -> dict[str, Earlier]:
    """Return all divisions on record; the last one is in the project also where this is DVC's copy of it."""
    known = _parsed(paths.EARLIER) if paths.EARLIER.exists() else {}
    for place in (paths.DIVISION, files.project_root() / paths.DIVISION):
        if place.exists():
            last = _parse(place)
            return known | ({history.name_of(last.terms): last} if last.sides else {})
    return known


def _parsed(path: Path) -> dict[str, Earlier]:
    try:
        return history.parse_all(path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from None


def _parse(path: Path) -> Earlier:
    try:
        return history.parse(path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> Refused:
    return Refused(
        f"{path} cannot be read ({error}): restore it with `git checkout {path}`, or delete it, and images "
        "may move between train and test"
    )


def _digest(start: Earlier) -> str:
    return hashlib.sha256(history.render(start).encode()).hexdigest()

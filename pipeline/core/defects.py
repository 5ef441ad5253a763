"""What was wrong with a source, file by file: mended, left out, or one object of it left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

Verdict = Literal["fixed", "quarantined", "dropped-object"]


class Defect(NamedTuple):
    """One finding about one file of the source.

    Attributes:
        file: Relative to the source folder.
        verdict: `fixed`: used, in a mended copy; `quarantined`: not used at all; `dropped-object`: used
            without one of its objects.
        reason: What was wrong, in words.
    """

    file: str
    verdict: Verdict
    reason: str


class Counts(NamedTuple):
    """How many items came in and went on; `found` is `used` and `quarantined` together.

    Attributes:
        found: Images, and annotations whose image is missing.
        used: Images in the prepared dataset.
        quarantined: Items not used.
    """

    found: int
    used: int
    quarantined: int


def count(defects: Iterable[Defect], *, used: int) -> Counts:
    """Count the items of a source: what is used, and each quarantined file once."""
    quarantined = len({defect.file for defect in defects if defect.verdict == "quarantined"})
    return Counts(used + quarantined, used, quarantined)


def render(defects: Iterable[Defect], *, used: int, remarks: Sequence[str] = ()) -> str:
    """Write the report as JSON: counts, remarks on the whole source, a line per finding, sorted by file."""
    listed = sorted(defects)
    counts = count(listed, used=used)
    head: dict[str, Any] = {"in": counts.found, "used": counts.used, "quarantined": counts.quarantined}
    head |= {"fixed": _tally(listed)["fixed"], "dropped_objects": _tally(listed)["dropped-object"]}
    head |= {"remarks": list(remarks)}
    lines = ",\n".join("  " + json.dumps(defect._asdict(), ensure_ascii=False) for defect in listed)
    return json.dumps(head, ensure_ascii=False)[:-1] + f', "files": [\n{lines}\n]}}\n'


def summary(defects: Sequence[Defect], *, show: int = 3) -> list[str]:
    """Name the first findings of each kind, and say how many more there are."""
    lines = []
    for verdict, number in sorted(_tally(defects).items()):
        lines += [f"{verdict}: {d.file}: {d.reason}" for d in sorted(defects) if d.verdict == verdict][:show]
        if number > show:
            lines.append(f"{verdict}: and {number - show} more")
    return lines


def _tally(defects: Iterable[Defect]) -> Counter[str]:
    return Counter(defect.verdict for defect in defects)

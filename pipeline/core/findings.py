"""What was found in a source, file by file: mended, worth a look, left out, or one object of it left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

FindingVerdict = Literal["fixed", "noted", "quarantined", "dropped-object"]
OnDefect = Literal["fix", "quarantine", "refuse"]
FindingKind = Literal[
    # files
    "missing-image",
    "unreadable-image",
    "empty-image",
    "truncated-image",
    "damaged-image",
    "giant-image",
    "tiny-image",
    "oblong-image",
    "special-file",
    "linked-file",
    "wrong-suffix",
    "trailing-bytes",
    "awkward-name",
    "same-name",
    # pixels
    "unsupported-format",
    "animated",
    "sixteen-bit",
    "one-bit",
    "palette",
    "cmyk",
    "alpha",
    "turned",
    # annotations of an image
    "annotation",
    "missing-label",
    "orphan-label",
    "unreadable-label",
    "size-mismatch",
    "listed-twice",
    "unlisted-image",
    "stray-annotation",
    "nothing-left",
    # objects
    "malformed",
    "no-number",
    "class-out-of-range",
    "outside",
    "clipped",
    "inverted",
    "no-area",
    "covers-everything",
    "duplicate",
    "no-outline",
    "few-points",
    "self-crossing",
    "hole",
    "crowd",
    "no-rectangle",
    "no-keypoints",
    "hidden-point",
    "several-classes",
]
"""What a finding is called by machines; `annotation` where a reader says no more than its sentence does."""


NOTED: Final[frozenset[FindingKind]] = frozenset(
    {"linked-file", "turned", "covers-everything", "no-keypoints"}
)
"""Findings that are the user's to judge: nothing is changed."""


class Finding(NamedTuple):
    """One finding about one file of the source.

    Attributes:
        file: Relative to the source folder.
        verdict: `fixed`: used, in a mended copy; `noted`: used as it is, though somebody should look;
            `quarantined`: not used at all; `dropped-object`: used without one of its objects.
        reason: What was found, in words.
        kind: The same for machines.
    """

    file: str
    verdict: FindingVerdict
    reason: str
    kind: FindingKind = "annotation"


class ItemCounts(NamedTuple):
    """How many items came in and went on; `found` is `used` and `quarantined` together.

    Attributes:
        found: Images, and annotations whose image is missing.
        used: Images in the prepared dataset.
        quarantined: Items not used.
    """

    found: int
    used: int
    quarantined: int


def count(defects: Iterable[Finding], *, used: int) -> ItemCounts:
    """Count the items of a source: what is used, and each quarantined file once."""
    quarantined = len({defect.file for defect in defects if defect.verdict == "quarantined"})
    return ItemCounts(used + quarantined, used, quarantined)


def settle(came: Collection[str], used: Collection[str], defects: Iterable[Finding]) -> None:
    """See that every file that came in is used or quarantined, and none is both.

    Raises:
        RuntimeError: One is not, which is a mistake of this program.
    """
    quarantined = {defect.file for defect in defects if defect.verdict == "quarantined"}
    lost = set(came) - set(used) - quarantined
    for file in sorted(lost | (set(used) & quarantined) | (set(used) - set(came))):
        raise RuntimeError(f"{file} is {'lost' if file in lost else 'used as well as quarantined'}")
    if len(set(used)) < len(used):
        raise RuntimeError("one file is used twice")


def render(defects: Iterable[Finding], *, used: int, remarks: Sequence[str] = ()) -> str:
    """Write the report as JSON: counts, remarks on the whole source, a line per finding, sorted by file."""
    listed = sorted(defects)
    counts = count(listed, used=used)
    head: dict[str, Any] = {"in": counts.found, "used": counts.used, "quarantined": counts.quarantined}
    tally = _tally(listed)
    head |= {name: tally[verdict] for name, verdict in _COUNTED.items()}
    head |= {"remarks": list(remarks)}
    lines = ",\n".join("  " + json.dumps(defect._asdict(), ensure_ascii=False) for defect in listed)
    return json.dumps(head, ensure_ascii=False)[:-1] + f', "files": [\n{lines}\n]}}\n'


def summary(defects: Sequence[Finding], *, show: int = 3) -> list[str]:
    """Name the first findings of each kind, and say how many more there are."""
    lines = []
    for verdict, number in sorted(_tally(defects).items()):
        lines += [f"{verdict}: {d.file}: {d.reason}" for d in sorted(defects) if d.verdict == verdict][:show]
        if number > show:
            lines.append(f"{verdict}: and {number - show} more")
    return lines


_COUNTED: Final[dict[str, FindingVerdict]] = {
    "fixed": "fixed",
    "noted": "noted",
    "dropped_objects": "dropped-object",
}


def _tally(defects: Iterable[Finding]) -> Counter[str]:
    return Counter(defect.verdict for defect in defects)


class AnnotationNote(NamedTuple):
    """One finding: the object is left out (`dropped`), or used in a mended form."""

    dropped: bool
    reason: str
    kind: FindingKind = "annotation"

"""Findings about the files of a source, and their report: repaired, noted, quarantined, object dropped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

FindingVerdict = Literal["fixed", "noted", "quarantined", "dropped-object"]
DefectPolicy = Literal["fix", "quarantine", "refuse"]
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
"""The kind of a finding, for programs; `annotation` where a reader gives only a reason in words."""


NOTED_KINDS: Final[frozenset[FindingKind]] = frozenset(
    {"linked-file", "turned", "covers-everything", "no-keypoints"}
)
"""Kinds that change nothing: the user decides about them."""


class Finding(NamedTuple):
    """One finding about one file of the source.

    Attributes:
        file: Relative to the source folder.
        verdict: `fixed`: a repaired copy is used; `noted`: the file is used as it is, but the user should
            look at it; `quarantined`: the file is not used; `dropped-object`: one of its objects is not used.
        reason: What was found, in words.
        kind: What was found, for programs.
    """

    file: str
    verdict: FindingVerdict
    reason: str
    kind: FindingKind = "annotation"


class UnusableError(ValueError):
    """Say why something cannot be used.

    Args:
        kind: The kind of finding.
        reason: The same in words.
    """

    def __init__(self, kind: FindingKind, reason: str) -> None:
        super().__init__(reason)
        self.kind: FindingKind = kind


class AnnotationNote(NamedTuple):
    """A finding about one object: it is left out (`dropped`), or used after a repair."""

    dropped: bool
    reason: str
    kind: FindingKind = "annotation"


class ItemCounts(NamedTuple):
    """Number of items of a source; `found` is the sum of `used` and `quarantined`.

    Attributes:
        found: Images, and annotations whose image is missing.
        used: Images in the prepared dataset.
        quarantined: Items not used.
    """

    found: int
    used: int
    quarantined: int


def count_items(findings: Iterable[Finding], *, used: int) -> ItemCounts:
    """Count the items of a source: those used, and each quarantined file once."""
    quarantined = len(_quarantined_files(findings))
    return ItemCounts(used + quarantined, used, quarantined)


def check_file_accounting(found: Collection[str], used: Collection[str], findings: Iterable[Finding]) -> None:
    """Check that every file found is either used or quarantined, and used once.

    Raises:
        RuntimeError: One is not, which is a bug of this program.
    """
    quarantined = _quarantined_files(findings)
    lost = set(found) - set(used) - quarantined
    for file in sorted(lost | (set(used) & quarantined) | (set(used) - set(found))):
        raise RuntimeError(f"{file} is {'lost' if file in lost else 'used as well as quarantined'}")
    if len(set(used)) < len(used):
        raise RuntimeError("one file is used twice")


def serialize_findings(findings: Iterable[Finding], *, used: int, remarks: Sequence[str] = ()) -> str:
    """Write the report as JSON: counts, remarks on the whole source, a line per finding, sorted by file."""
    listed = sorted(findings)
    counts = count_items(listed, used=used)
    head: dict[str, Any] = {"in": counts.found, "used": counts.used, "quarantined": counts.quarantined}
    verdicts = _count_verdicts(listed)
    head |= {name: verdicts[verdict] for name, verdict in _VERDICT_COUNT_KEYS.items()}
    head |= {"remarks": list(remarks)}
    lines = ",\n".join(
        "  " + json.dumps(finding._asdict(), ensure_ascii=False, allow_nan=False) for finding in listed
    )
    return json.dumps(head, ensure_ascii=False, allow_nan=False)[:-1] + f', "files": [\n{lines}\n]}}\n'


def summarize_findings(findings: Sequence[Finding], *, show: int = 3) -> list[str]:
    """List the first findings of each verdict, and how many more there are."""
    lines = []
    for verdict, number in sorted(_count_verdicts(findings).items()):
        same = [finding for finding in sorted(findings) if finding.verdict == verdict]
        lines += [f"{verdict}: {finding.file}: {finding.reason}" for finding in same[:show]]
        if number > show:
            lines.append(f"{verdict}: and {number - show} more")
    return lines


_VERDICT_COUNT_KEYS: Final[dict[str, FindingVerdict]] = {
    "fixed": "fixed",
    "noted": "noted",
    "dropped_objects": "dropped-object",
}


def _count_verdicts(findings: Iterable[Finding]) -> Counter[str]:
    return Counter(finding.verdict for finding in findings)


def _quarantined_files(findings: Iterable[Finding]) -> set[str]:
    return {finding.file for finding in findings if finding.verdict == "quarantined"}

"""Where each augmented image came from and what was done to it, and the digest that names them all."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PastedObject:
    """An object that was pasted into an image before it was transformed.

    Args:
        source: The image that it comes from, below images/ of the prepared dataset.
        object: Its place in that image's label file, from 0.
        matrix: The first two rows of the matrix that moved it, from pixels to pixels, on pixel edges.
    """

    source: str
    object: int
    matrix: tuple[float, ...]


@dataclass(frozen=True)
class AugmentedImage:
    """One augmented image.

    Args:
        file: Path below images/ of the augmented dataset, such as `train/part_01_a1.jpg`.
        source: Path below images/ of the prepared dataset, such as `train/part_01.jpg`.
        seed: What its values and its noise were drawn from.
        transforms: The drawn values of what was applied; `core.recipes.Recipe` says what each means.
        classes: The class index of each object, in the order of the label file.
        dropped: Objects that lost their label, being cut below the visible share.
        sha256: Of the image file's bytes.
        labels_sha256: Of the label file's bytes.
        pasted: What was pasted in, in order, each above those before.
    """

    file: str
    source: str
    seed: int
    transforms: dict[str, Any]
    classes: tuple[int, ...]
    dropped: int
    sha256: str
    labels_sha256: str
    pasted: tuple[PastedObject, ...] = ()

    @property
    def label(self) -> str:
        """The label file's path below labels/."""
        return self.file.rsplit(".", 1)[0] + ".txt"


@dataclass(frozen=True)
class AugmentationRecords:
    """All copies, and the digest of the prepared dataset that they were drawn from."""

    prepared: str
    copies: tuple[AugmentedImage, ...]

    @property
    def count(self) -> int:
        """The number of additional images."""
        return len(self.copies)

    @property
    def digest(self) -> str:
        """SHA-256 over every record, contents of files included: the augmented dataset's identity."""
        return hashlib.sha256("\n".join([self.prepared, *map(_line, self.copies)]).encode()).hexdigest()

    def counts(self) -> Counter[int]:
        """Count the objects of each class, by class index."""
        return Counter(cls for copy in self.copies for cls in copy.classes)


def render(records: AugmentationRecords) -> str:
    """Write records as JSON, a line per copy."""
    head = {"prepared": records.prepared, "digest": records.digest}
    lines = ",\n".join("  " + _line(copy) for copy in records.copies)
    return json.dumps(head)[:-1] + f', "copies": [\n{lines}\n]}}\n'


def parse(text: str) -> AugmentationRecords:
    """Read records, and hold them against their digest.

    Raises:
        ValueError: No records, cut, or changed by hand.
    """
    raw = json.loads(text)
    try:
        copies = tuple(map(_copy, raw["copies"]))
        records, digest = AugmentationRecords(raw["prepared"], copies), raw["digest"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a field is missing or unknown: {error}") from None
    if records.digest != digest:
        raise ValueError("the records do not fit their own digest")
    return records


def mark(stems: Collection[str]) -> str:
    """Return what stands between stem and copy number, so that no copy bears an original's name."""
    chosen = "_a"
    while any(_ends_like_a_copy(stem, chosen) for stem in stems):
        chosen += "a"
    return chosen


def _ends_like_a_copy(stem: str, chosen: str) -> bool:
    before, found, number = stem.lower().rpartition(chosen)
    return bool(before and found and number.isdigit())


def _copy(raw: dict[str, Any]) -> AugmentedImage:
    pasted = tuple(PastedObject(**{**one, "matrix": tuple(one["matrix"])}) for one in raw["pasted"])
    return AugmentedImage(**{**raw, "classes": tuple(raw["classes"]), "pasted": pasted})


def _line(copy: AugmentedImage) -> str:
    values = vars(copy) | {"pasted": [vars(one) for one in copy.pasted]}  # asdict takes ten times as long
    return json.dumps(values, ensure_ascii=False)

"""Records of the augmented images: source, applied transforms and hashes; and a digest of them all."""

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
        object: Its index in that image's label file, from 0.
        matrix: The first two rows of the affine matrix that moved it, pixels to pixels, on pixel edges.
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
        seed: Seed of its drawn values and its noise.
        transforms: The applied transforms and their drawn values, see augment's `AugmentationParameters`.
        classes: The class index of each object, in the order of the label file.
        dropped: Number of objects without a label, since less than the visible share of them is left.
        sha256: Of the image file's bytes.
        labels_sha256: Of the label file's bytes.
        pasted: The pasted objects in order; each covers those before it.
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
    def label_file(self) -> str:
        """Path of the label file below labels/."""
        return self.file.rsplit(".", 1)[0] + ".txt"


@dataclass(frozen=True)
class AugmentationRecords:
    """All augmented images, and the digest of the prepared dataset that they were made from."""

    prepared: str
    copies: tuple[AugmentedImage, ...]

    @property
    def count(self) -> int:
        """The number of additional images."""
        return len(self.copies)

    @property
    def digest(self) -> str:
        """SHA-256 of all records, which hold the hashes of the files."""
        lines = [self.prepared, *map(_serialize_image, self.copies)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def count_objects(self) -> Counter[int]:
        """Count the objects of each class, by class index."""
        return Counter(cls for copy in self.copies for cls in copy.classes)


def serialize_augmentation_records(records: AugmentationRecords) -> str:
    """Write records as JSON, a line per copy."""
    head = {"prepared": records.prepared, "digest": records.digest}
    lines = ",\n".join("  " + _serialize_image(copy) for copy in records.copies)
    return json.dumps(head, allow_nan=False)[:-1] + f', "copies": [\n{lines}\n]}}\n'


def parse_augmentation_records(text: str) -> AugmentationRecords:
    """Parse records and check their digest.

    Raises:
        ValueError: The text is not JSON, a field is missing or unknown, or the digest does not match.
    """
    raw = json.loads(text)
    try:
        copies = tuple(map(_parse_image, raw["copies"]))
        records, digest = AugmentationRecords(raw["prepared"], copies), raw["digest"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a field is missing or unknown: {error}") from None
    if records.digest != digest:
        raise ValueError("the records do not fit their own digest")
    return records


def choose_copy_marker(stems: Collection[str]) -> str:
    """Choose the text between file stem and copy number so that no copy gets the name of an original."""
    marker = "_a"
    while any(_ends_like_a_copy(stem, marker) for stem in stems):
        marker += "a"
    return marker


def _ends_like_a_copy(stem: str, marker: str) -> bool:
    before, found, number = stem.lower().rpartition(marker)
    return bool(before and found and number.isdigit())


def _parse_image(raw: dict[str, Any]) -> AugmentedImage:
    pasted = tuple(PastedObject(**{**one, "matrix": tuple(one["matrix"])}) for one in raw["pasted"])
    return AugmentedImage(**{**raw, "classes": tuple(raw["classes"]), "pasted": pasted})


def _serialize_image(copy: AugmentedImage) -> str:
    values = vars(copy) | {"pasted": [vars(one) for one in copy.pasted]}  # asdict is ten times slower
    return json.dumps(values, ensure_ascii=False, allow_nan=False)

"""The manifest of the prepared dataset: its images with their labels' hashes, and a digest of them all."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple

from pipeline.core.tasks import Keypoints, Task

_LISTED_DIGITS: Final = 16
"""Hexadecimal digits of the SHA-256 of a listed image: enough to tell billions of images apart."""
MAX_LISTED_IMAGES: Final = 100_000
"""In run.json, which every listing of iterations reads: 2 MB."""
UNKNOWN_SEEN: Final = "unknown"
_BASE_SEEN: Final = re.compile(r"(\d{1,9})( or more)?")


@dataclass(frozen=True)
class ImageRecord:
    """One image of the prepared dataset.

    Args:
        file: Path below images/, such as `train/part_01.jpg`; its labels are in labels/train/part_01.txt.
        sha256: Of the image file's bytes.
        labels_sha256: Of the label file's bytes.
        width: In pixels.
        height: In pixels.
        classes: The class index of each object, in the order of the label file.
        source: The file that it was made from, relative to the source folder.
        pseudo: Whether a model made its labels (data.unlabelled_source); such an image is in train.
    """

    file: str
    sha256: str
    labels_sha256: str
    width: int
    height: int
    classes: tuple[int, ...]
    source: str
    pseudo: bool = False

    @property
    def split(self) -> str:
        """The first part of `file`: train, val or test."""
        return self.file.split("/", 1)[0]

    @property
    def label_file(self) -> str:
        """Path of the label file below labels/."""
        return self.file.rsplit(".", 1)[0] + ".txt"


@dataclass(frozen=True)
class Manifest:
    """A prepared dataset.

    Args:
        task: The task of its labels.
        names: Class names by index.
        items: Its images, sorted by file.
        keypoints: The points of a pose; None for other tasks.
        leak: Number of images in val and test that share a group with an image of a split less held out.
    """

    task: Task
    names: tuple[str, ...]
    items: tuple[ImageRecord, ...]
    keypoints: Keypoints | None = None
    leak: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the task, the class names, and each image's path, contents and labels."""
        head = [self.task, self.names, *([asdict(self.keypoints)] if self.keypoints else [])]
        digest = hashlib.sha256(json.dumps(head, allow_nan=False).encode())
        for item in sorted(self.items, key=lambda item: item.file):
            mark = " pseudo" if item.pseudo else ""
            digest.update(f"\n{item.file} {item.sha256} {item.labels_sha256}{mark}".encode())
        return digest.hexdigest()

    def in_split(self, split: str) -> tuple[ImageRecord, ...]:
        """Return the images of one split."""
        return tuple(item for item in self.items if item.file.startswith(f"{split}/"))

    @property
    def pseudo_items(self) -> tuple[ImageRecord, ...]:
        """The images whose labels a model made."""
        return tuple(item for item in self.items if item.pseudo)

    def select_labelled(self) -> Manifest:
        """Return the dataset without images whose labels a model made."""
        return replace(self, items=tuple(item for item in self.items if not item.pseudo))

    def count_objects(self, split: str) -> dict[str, int]:
        """Count the objects of each class in one split, by class name."""
        counts = Counter(cls for item in self.in_split(split) for cls in item.classes)
        return {name: counts[cls] for cls, name in enumerate(self.names)}


def serialize_manifest(manifest: Manifest) -> str:
    """Write a manifest as JSON, a line per image, so that a text diff shows which images changed."""
    head: dict[str, Any] = {"task": manifest.task, "names": manifest.names, "digest": manifest.digest}
    if manifest.keypoints:
        head["keypoints"] = asdict(manifest.keypoints)
    if manifest.leak:
        head["leak"] = manifest.leak
    items = ",\n".join(
        "  " + json.dumps(_build_row(item), ensure_ascii=False, allow_nan=False) for item in manifest.items
    )
    return json.dumps(head, ensure_ascii=False, allow_nan=False)[:-1] + f', "items": [\n{items}\n]}}\n'


def _build_row(item: ImageRecord) -> dict[str, Any]:
    """Return the fields of an image; without `pseudo` where it is false, as in manifests of old."""
    return {name: value for name, value in vars(item).items() if name != "pseudo" or value}


def parse_manifest(text: str) -> Manifest:
    """Parse a manifest and check its digest.

    Raises:
        ValueError: The digest does not match: the file was edited or truncated.
    """
    raw: dict[str, Any] = json.loads(text)
    items = tuple(ImageRecord(**{**item, "classes": tuple(item["classes"])}) for item in raw["items"])
    points = raw.get("keypoints")
    keypoints = Keypoints(tuple(points["names"]), tuple(points["flip"]), points["dims"]) if points else None
    manifest = Manifest(raw["task"], tuple(raw["names"]), items, keypoints, raw.get("leak", 0))
    if manifest.digest != raw["digest"]:
        raise ValueError(
            "the manifest does not fit its own digest: it was changed by hand; run prepare again"
        )
    return manifest


def list_learnt_images(manifest: Manifest, before: Iterable[str] = ()) -> list[str] | None:
    """List the images that a training learns from, or chooses by, for run.json: those of train and val.

    Args:
        manifest: Of the data that it trains on.
        before: Those that its base weights learnt from, as listed here.

    Returns:
        The first digits of the SHA-256 of each, sorted; None where they are more than MAX_LISTED_IMAGES.
    """
    found = {item.sha256[:_LISTED_DIGITS] for item in manifest.items if item.split != "test"} | set(before)
    return sorted(found) if len(found) <= MAX_LISTED_IMAGES else None


def read_learnt_images(facts: Mapping[str, Any]) -> frozenset[str] | None:
    """Return what run.json lists; None where it lists none: of very many, or of an earlier version."""
    listed = facts.get("images")
    return frozenset(map(str, listed)) if isinstance(listed, list) else None


def select_listed_images(images: Iterable[str], listed: Set[str]) -> tuple[str, ...]:
    """Return the images that are listed.

    Args:
        images: The SHA-256 of each.
        listed: As `list_learnt_images` has them.
    """
    return tuple(image for image in images if image[:_LISTED_DIGITS] in listed)


def find_learnt_images(
    facts: Mapping[str, Any], images: Iterable[ImageRecord]
) -> tuple[ImageRecord, ...] | None:
    """Find the images that a training, or that of its base weights, learnt from, or chose by.

    Args:
        facts: Of its run.json.
        images: Of any dataset.

    Returns:
        Those of the images; None where run.json lists none: of very many, or of an earlier version.
    """
    listed = read_learnt_images(facts)
    if listed is None:
        return None
    return tuple(image for image in images if select_listed_images([image.sha256], listed))


class BaseSeen(NamedTuple):
    """The test images of a training's own dataset that its base weights were trained on, or chosen by.

    Attributes:
        number: How many are known.
        is_complete: Whether there are no others: False where nobody knows all images of the base weights.
    """

    number: int = 0
    is_complete: bool = True

    def __str__(self) -> str:
        if self.is_complete:
            return str(self.number)
        return f"{self.number} or more" if self.number else UNKNOWN_SEEN


def parse_base_seen(text: object) -> BaseSeen | None:
    """Parse what run.json, or a tag, says of the base weights; None where it says nothing."""
    if text == UNKNOWN_SEEN:
        return BaseSeen(0, is_complete=False)
    match = _BASE_SEEN.fullmatch(str(text))
    return BaseSeen(int(match[1]), is_complete=match[2] is None) if match else None


def read_base_seen(facts: Mapping[str, Any]) -> BaseSeen | None:
    """Return what run.json says of the base weights; None where it is of an earlier version."""
    base = facts.get("base")
    return parse_base_seen(base.get("seen")) if isinstance(base, Mapping) else None

"""The record of a folder of pseudo-labels: who made them, how, from which images, and what may be in it.

`finetrack pseudo-label` writes the folder: images/, labels/, data.yaml and this record. `prepare` reads it as
data.unlabelled_source, and keeps the record beside the dataset that it makes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.tasks import TASKS, Keypoints, Task
from pipeline.storage.files import write_file

PSEUDO_LABELS_FILE: Final = "pseudo.json"
IMAGES_FOLDER: Final = "images"
LABELS_FOLDER: Final = "labels"
_KEY_DIGITS: Final = 16
"""Digits of a SHA-256 that are kept of the teacher's train images: enough to distinguish any two."""
_PARSE_ERRORS: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class PseudoLabelledImage(NamedTuple):
    """An image with pseudo-labels as it was written.

    Attributes:
        file: Its path below images/; its labels have the same name below labels/.
        sha256: Of the image file.
        labels_sha256: Of the label file.
        source: Its name in the folder of unlabelled images.
    """

    file: str
    sha256: str
    labels_sha256: str
    source: str

    @property
    def label_file(self) -> str:
        """Path of the label file below labels/."""
        return str(PurePosixPath(self.file).with_suffix(".txt"))


@dataclass(frozen=True)
class PseudoLabelRecord:
    """What is known of a folder of pseudo-labels.

    Args:
        task: The task of the labels.
        names: Class names by index.
        keypoints: The points of a pose; None for other tasks.
        teacher: The model that made them: name, run_id, and weights and data (their SHA-256 and digest).
        trained_on: The teacher's train images, and those of its own teachers, as `shorten_image_hash` has
            them, sorted: none of them may be in val or test of who learns from the labels.
        rule: What was asked for: precision, recall, least, and the settings of the prediction.
        classes: By class name: the scores that the rule chose on val, and the counts they are from.
        val: What the rule did on the val images.
        counts: Number of images by what became of them.
        images: The images that got labels.
    """

    task: Task
    names: tuple[str, ...]
    keypoints: Keypoints | None
    teacher: Mapping[str, Any]
    trained_on: tuple[str, ...]
    images: tuple[PseudoLabelledImage, ...]
    rule: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, Any] = field(default_factory=dict)
    val: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def teacher_name(self) -> str:
        """The teacher for people: its name, and the beginning of its run's id."""
        run_id = self.teacher.get("run_id")
        name = str(self.teacher.get("name", "unknown"))
        return f"{name} (run {str(run_id)[:8]})" if run_id else name


def shorten_image_hash(sha256: str) -> str:
    """Return the part of an image's SHA-256 that the record keeps."""
    return sha256[:_KEY_DIGITS]


def has_pseudo_labels(folder: Path) -> bool:
    """Check whether a folder was written by `finetrack pseudo-label`."""
    return (folder / PSEUDO_LABELS_FILE).is_file()


def write_pseudo_label_record(
    folder: Path, record: PseudoLabelRecord, prepared: Mapping[str, Any] | None = None
) -> None:
    """Write pseudo.json.

    Args:
        folder: The folder of pseudo-labels, or a prepared dataset.
        record: The record.
        prepared: What `prepare` adds to it: which images it left out, and why.
    """
    content = _build_content(record)
    added = {"prepare": prepared} if prepared is not None else {}
    whole = {"digest": _digest(content), **added, **content}
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(folder / PSEUDO_LABELS_FILE, text + "\n")


def read_pseudo_label_record(folder: Path) -> PseudoLabelRecord:
    """Read pseudo.json and check it.

    Raises:
        UserError: It is absent, damaged, or was changed by hand.
    """
    file = folder / PSEUDO_LABELS_FILE
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        content = {key: value for key, value in raw.items() if key not in {"digest", "prepare"}}
        if raw["digest"] != _digest(content):
            raise ValueError("it does not fit its own digest")
        return _parse_content(content)
    except FileNotFoundError:
        raise UserError(f"{file} is absent: it is written by `finetrack pseudo-label`") from None
    except _PARSE_ERRORS as error:
        raise UserError(f"{file} cannot be used ({error}): run `finetrack pseudo-label` again") from None


def _build_content(record: PseudoLabelRecord) -> dict[str, Any]:
    """Return the record as JSON reads it back."""
    values = asdict(record) | {"images": [list(image) for image in record.images]}
    content: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False))
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _parse_content(content: Mapping[str, Any]) -> PseudoLabelRecord:
    points = content["keypoints"]
    if content["task"] not in TASKS:
        raise ValueError(f"there is no task {content['task']!r}")
    images = tuple(PseudoLabelledImage(*map(_require_text, row)) for row in content["images"])
    for image in images:
        _require_inner_path(image.file)
    if len({image.source for image in images}) < len(images):
        raise ValueError("it has two images of one name")
    return PseudoLabelRecord(
        **{
            **content,
            "teacher": dict(content["teacher"]),
            "names": tuple(content["names"]),
            "keypoints": points and Keypoints(tuple(points["names"]), tuple(points["flip"]), points["dims"]),
            "trained_on": tuple(content["trained_on"]),
            "images": images,
        }
    )


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _require_inner_path(file: str) -> None:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{file!r} is no path in its folder")

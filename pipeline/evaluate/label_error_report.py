"""Write the suspect labels: suspects.json, and suspects.html with a picture of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw

from pipeline.core.arrays import FloatArray, ImageArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.label_errors import SuspectLabel, convert_class_scores
from pipeline.storage.files import write_file
from pipeline.visualize.fonts import load_picture_font, replace_missing_letters, shorten_names
from pipeline.visualize.pages.render import encode_data_uri, render_page

SCORE_RULE: Final = (
    "Score of a missing one: the model's confidence, times 1 less the overlap with the nearest label of any "
    "class; of a loose one: the same with the nearest label of its class; of a wrong class: the model's "
    "confidence, less that in the label's own class."
)
LABEL_COLOR: Final = "#E69F00"
MODEL_COLOR: Final = "#56B4E9"
"""From Okabe and Ito's palette for the color-blind."""
EDGE_COLOR: Final = "#000000"
TEXT_COLOR: Final = "#111111"
CLOSE_UP_SIDE: Final = 420
"""The longer side of a picture, in pixels."""
NAME_HEIGHT: Final = 22
"""The height of a class name, in pixels."""


class LabeledPredictions(NamedTuple):
    """Labels and predictions of the images of all splits.

    Attributes:
        manifest: Of data/prepared.
        images: The images, in the order of the following.
        truths: The labels of each image.
        detections: The detections in each image.
        names: Class names by index; a single one where all classes were merged.
    """

    manifest: Manifest
    images: Sequence[ImageRecord]
    truths: Sequence[GroundTruth]
    detections: Sequence[Detections]
    names: Sequence[str]


class SuspectPicture(NamedTuple):
    """The picture of one suspect label on the page, with its texts."""

    uri: str
    name: str
    split: str
    note: str


class SuspectMark(NamedTuple):
    """One object to draw.

    Attributes:
        box: x1 y1 x2 y2 in pixels of the image.
        outline: Its outline or corners (k, 2) in pixels; None for an object with a box only.
        color: Of its lines and of the field behind its name.
        text: Its name.
    """

    box: FloatArray
    outline: FloatArray | None
    color: str
    text: str


def merge_splits(
    manifest: Manifest, splits: Mapping[str, SplitPredictions | ClassScores], names: Sequence[str]
) -> LabeledPredictions:
    """Merge the images of all splits in one list; the class of an image becomes an object that fills it.

    Args:
        manifest: Of data/prepared.
        splits: Labels and predictions of each split, in the order of the manifest.
        names: Class names by index; a single one where all classes were merged.
    """
    images = [image for split in splits for image in manifest.in_split(split)]
    parts = [
        convert_class_scores(part, [(image.width, image.height) for image in manifest.in_split(split)])
        if isinstance(part, ClassScores)
        else part
        for split, part in splits.items()
    ]
    truths = [truth for part in parts for truth in part.truths]
    detections = [found for part in parts for found in part.detections]
    return LabeledPredictions(manifest, images, truths, detections, names)


def write_label_error_report(
    folder: Path, suspects: Sequence[SuspectLabel], data: LabeledPredictions, *, most: int
) -> None:
    """Write suspects.json and suspects.html: the first suspect labels, and how many there are of each kind.

    Args:
        folder: An existing folder.
        suspects: All suspect labels, the highest score first.
        data: The images that they are of.
        most: So many are shown.
    """
    counts = dict(sorted(Counter(suspect.kind for suspect in suspects).items()))
    shown = suspects[:most]
    rows = [_build_row(suspect, data) for suspect in shown]
    head = {"score": SCORE_RULE, "total": len(suspects), "kinds": counts}
    text = json.dumps({**head, "suspects": rows}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(folder / "suspects.json", text)
    page = render_page(
        "suspects.html",
        rule=SCORE_RULE,
        task=data.manifest.task,
        digest=data.manifest.digest,
        images=len(data.images),
        total=len(suspects),
        kinds=counts,
        suspects=[
            {**row, "picture": _draw_suspect(suspect, row, data)}
            for suspect, row in zip(shown, rows, strict=True)
        ],
    )
    write_file(folder / "suspects.html", page)


def _build_row(suspect: SuspectLabel, data: LabeledPredictions) -> dict[str, Any]:
    image, found = data.images[suspect.image], data.detections[suspect.image]
    truth = data.truths[suspect.image]
    label = suspect.label
    return {
        "file": image.file,
        "source": image.source,
        "split": image.split,
        "kind": suspect.kind,
        "score": round(suspect.score, 4),
        "found": {
            "class": data.names[found.classes[suspect.detection]],
            "confidence": round(float(found.scores[suspect.detection]), 4),
            "box": _round_box(found.boxes[suspect.detection]),
        },
        "label": None
        if label < 0
        else {
            "line": label + 1,
            "class": data.names[truth.classes[label]],
            "box": _round_box(truth.boxes[label]),
            "overlap": round(suspect.overlap, 4),
        },
    }


def _round_box(box: FloatArray) -> list[float]:
    return [round(value, 2) for value in box.tolist()]


def _describe_suspect(row: dict[str, Any]) -> str:
    found, label = row["found"], row["label"]
    if label is None:
        text = f"no label of its own here, but the model sees {found['class']}"
    elif row["kind"] == "loose":
        text = f"{found['class']} lies elsewhere than its label ({label['overlap']:.0%} overlap)"
    else:
        text = f"labelled {label['class']}, but the model sees {found['class']}"
    return f"{row['kind']}, score {row['score']:.2f}: {text}"


def _draw_suspect(suspect: SuspectLabel, row: dict[str, Any], data: LabeledPredictions) -> SuspectPicture:
    truth, found, index = data.truths[suspect.image], data.detections[suspect.image], suspect.detection
    text = f"{row['found']['class']} {row['found']['confidence']:.2f}"
    marks = [SuspectMark(found.boxes[index], _get_outline(found, index), MODEL_COLOR, text)]
    if row["label"]:
        label, name = suspect.label, row["label"]["class"]
        marks.insert(0, SuspectMark(truth.boxes[label], _get_outline(truth, label), LABEL_COLOR, name))
    path = PREPARED_FOLDER / "images" / row["file"]
    image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    uri = encode_data_uri(draw_close_up(image, marks))
    return SuspectPicture(uri, row["source"], row["split"], _describe_suspect(row))


def _get_outline(objects: GroundTruth | Detections, index: int) -> FloatArray | None:
    """Return the outline of one object, or its four corners; None for an object with a box only."""
    return objects.outlines[index] if index < len(objects.outlines) else None


def draw_close_up(image: ImageArray, marks: Sequence[SuspectMark]) -> ImageArray:
    """Draw one or two marks and the image around them (BGR); of two, the name of the first is below its box.

    Args:
        image: (height, width, 3) uint8, BGR.
        marks: What is drawn, the last one on top.
    """
    left, top, right, bottom = _choose_crop(np.array([mark.box for mark in marks]), image.shape[:2])
    cut = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right, ::-1]))
    scale = CLOSE_UP_SIDE / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))))
    pen = ImageDraw.Draw(cut)
    for place, mark in enumerate(marks):
        x1, y1, _, y2 = ((mark.box - [left, top, left, top]) * scale).tolist()
        _draw_outline(pen, (_get_corners(mark) - [left, top]) * scale, mark.color)
        below = place == 0 and len(marks) > 1
        _draw_name(pen, mark, (x1, y2 + 3 if below else y1 - NAME_HEIGHT - 3))
    return np.ascontiguousarray(np.asarray(cut)[..., ::-1])


def _get_corners(mark: SuspectMark) -> FloatArray:
    if mark.outline is not None and len(mark.outline) > 2:
        return mark.outline
    x1, y1, x2, y2 = mark.box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _draw_outline(pen: ImageDraw.ImageDraw, ring: FloatArray, color: str) -> None:
    points = [(float(x), float(y)) for x, y in (*ring, *ring[:2])]
    pen.line(points, fill=EDGE_COLOR, width=5, joint="curve")
    pen.line(points, fill=color, width=3, joint="curve")


def _draw_name(pen: ImageDraw.ImageDraw, mark: SuspectMark, at: tuple[float, float]) -> None:
    text = shorten_names(replace_missing_letters([mark.text]))[0]
    font = load_picture_font(text, 18)
    width = pen.textlength(text, font=font) + 8
    x = min(max(at[0], 0), max(pen.im.size[0] - width, 0))
    y = min(max(at[1], 0), max(pen.im.size[1] - NAME_HEIGHT, 0))
    pen.rectangle((x, y, x + width, y + NAME_HEIGHT), fill=mark.color)
    pen.text((x + 4, y), text, fill=TEXT_COLOR, font=font)


def _choose_crop(boxes: FloatArray, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom: three times as wide as the marks, at least a quarter of the image."""
    height, width = size[:2]
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = max(3 * float((high - low).max()), max(width, height) / 4)
    start = np.clip((low + high) / 2 - side / 2, 0, np.maximum([width - side, height - side], 0))
    end = np.minimum(start + side, [width, height])
    return int(start[0]), int(start[1]), int(np.ceil(end[0])), int(np.ceil(end[1]))

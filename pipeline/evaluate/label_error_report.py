"""Label suspects for a person: suspects.json, and suspects.html with a picture of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.paths import PREPARED
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.label_errors import SuspectLabel, whole
from pipeline.storage import files
from pipeline.visualize.pages import render
from pipeline.visualize.pages.render import data_uri

RULE: Final = (
    "Score of a missing or loose one: the model's confidence, times 1 less the overlap with the nearest "
    "label of that class; of a wrong class: the model's confidence, less that in the label's own class."
)
LABEL: Final = "#E69F00"
MODEL: Final = "#56B4E9"
"""From Okabe and Ito's palette, made for the colour-blind."""


class JudgedSplit(NamedTuple):
    """The images that were judged.

    Attributes:
        manifest: Of data/prepared.
        items: The images, in the order of the following.
        truths: The labels of each.
        found: What the model found in each.
        names: Class names by index; one alone where all classes were merged.
    """

    manifest: Manifest
    items: Sequence[ImageRecord]
    truths: Sequence[GroundTruth]
    found: Sequence[Detections]
    names: Sequence[str]


class SuspectPicture(NamedTuple):
    """What the page shows of one suspect."""

    uri: str
    name: str
    split: str
    note: str


def gather(
    manifest: Manifest, parts: Mapping[str, SplitPredictions | ClassScores], names: Sequence[str]
) -> JudgedSplit:
    """Put the splits' images into one list, a class of a whole image as an object that fills it.

    Args:
        manifest: Of data/prepared.
        parts: For each split its labels and what the model makes of its images, in the manifest's order.
        names: Class names by index; one alone where all classes were merged.
    """
    items = [item for split in parts for item in manifest.of(split)]
    splits = [
        whole(part, [(item.width, item.height) for item in manifest.of(split)])
        if isinstance(part, ClassScores)
        else part
        for split, part in parts.items()
    ]
    truths = [truth for split in splits for truth in split.truths]
    return JudgedSplit(manifest, items, truths, [found for split in splits for found in split.found], names)


def write(folder: Path, suspects: Sequence[SuspectLabel], judged: JudgedSplit) -> None:
    """Write suspects.json and suspects.html.

    Args:
        folder: Where; it exists.
        suspects: The strongest first.
        judged: What they were found in.
    """
    rows = [_row(suspect, judged) for suspect in suspects]
    text = json.dumps({"score": RULE, "suspects": rows}, indent=2, ensure_ascii=False) + "\n"
    files.write(folder / "suspects.json", text)
    page = render.render(
        "suspects.html",
        rule=RULE,
        task=judged.manifest.task,
        digest=judged.manifest.digest,
        images=len(judged.items),
        suspects=[
            {**row, "picture": _picture(suspect, row, judged)}
            for suspect, row in zip(suspects, rows, strict=True)
        ],
    )
    files.write(folder / "suspects.html", page)


def _row(suspect: SuspectLabel, judged: JudgedSplit) -> dict[str, Any]:
    item, found = judged.items[suspect.image], judged.found[suspect.image]
    truth = judged.truths[suspect.image]
    label = suspect.label
    return {
        "file": item.file,
        "source": item.source,
        "split": item.split,
        "kind": suspect.kind,
        "score": round(suspect.score, 4),
        "found": {
            "class": judged.names[found.classes[suspect.found]],
            "confidence": round(float(found.scores[suspect.found]), 4),
            "box": _rounded(found.boxes[suspect.found]),
        },
        "label": None
        if label < 0
        else {
            "line": label + 1,
            "class": judged.names[truth.classes[label]],
            "box": _rounded(truth.boxes[label]),
            "overlap": round(suspect.overlap, 4),
        },
    }


def _rounded(box: NDArray[np.float64]) -> list[float]:
    return [round(value, 2) for value in box.tolist()]


def _told(row: dict[str, Any]) -> str:
    found, label = row["found"], row["label"]
    if label is None:
        text = f"no label here, but the model sees {found['class']}"
    elif row["kind"] == "loose":
        text = f"{found['class']} lies elsewhere than its label ({label['overlap']:.0%} overlap)"
    else:
        text = f"labelled {label['class']}, but the model sees {found['class']}"
    return f"{row['kind']}, score {row['score']:.2f}: {text}"


def _picture(suspect: SuspectLabel, row: dict[str, Any], judged: JudgedSplit) -> SuspectPicture:
    truth, found = judged.truths[suspect.image], judged.found[suspect.image]
    text = f"{row['found']['class']} {row['found']['confidence']:.2f}"
    marks = [SuspectMark(found.boxes[suspect.found], _ring(found, suspect.found), MODEL, text)]
    if row["label"]:
        label, name = suspect.label, row["label"]["class"]
        marks.insert(0, SuspectMark(truth.boxes[label], _ring(truth, label), LABEL, name))
    path = PREPARED / "images" / row["file"]
    image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    uri = data_uri(draw_close_up(image, marks))
    return SuspectPicture(uri, row["source"], row["split"], _told(row))


def _ring(of: GroundTruth | Detections, index: int) -> NDArray[np.float64] | None:
    """Return the outline of one object, or its four corners; None where it has a box alone."""
    return of.outlines[index] if index < len(of.outlines) else None


SIDE: Final = 420
"""Pixels of a picture's longer side."""


PLATE: Final = 22
"""Pixels of a name's height."""


EDGE: Final = "#000000"


INK: Final = "#111111"


class SuspectMark(NamedTuple):
    """One object to draw.

    Attributes:
        box: x1 y1 x2 y2 in pixels of the image.
        ring: Its outline or corners (k, 2) in pixels; None where it has a box alone.
        colour: Of its lines and its name's plate.
        text: Its name.
    """

    box: FloatArray
    ring: FloatArray | None
    colour: str
    text: str


def draw_close_up(image: NDArray[np.uint8], marks: Sequence[SuspectMark]) -> NDArray[np.uint8]:
    """Return the surroundings of one or two marks (BGR), the first named below if there are two.

    Args:
        image: (height, width, 3) uint8, BGR.
        marks: What is drawn, the last above all others.
    """
    left, top, right, bottom = _surroundings(np.array([mark.box for mark in marks]), image.shape[:2])
    cut = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right, ::-1]))
    scale = SIDE / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))))
    pen, font = ImageDraw.Draw(cut), ImageFont.load_default(18)
    for place, mark in enumerate(marks):
        x1, y1, _, y2 = ((mark.box - [left, top, left, top]) * scale).tolist()
        _line(pen, (_corners(mark) - [left, top]) * scale, mark.colour)
        below = place == 0 and len(marks) > 1
        _name(pen, mark, (x1, y2 + 3 if below else y1 - PLATE - 3), font=font)
    return np.ascontiguousarray(np.asarray(cut)[..., ::-1])


def _corners(mark: SuspectMark) -> FloatArray:
    if mark.ring is not None and len(mark.ring) > 2:
        return mark.ring
    x1, y1, x2, y2 = mark.box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _line(pen: ImageDraw.ImageDraw, ring: FloatArray, colour: str) -> None:
    points = [(float(x), float(y)) for x, y in (*ring, *ring[:2])]
    pen.line(points, fill=EDGE, width=5, joint="curve")
    pen.line(points, fill=colour, width=3, joint="curve")


def _name(pen: ImageDraw.ImageDraw, mark: SuspectMark, at: tuple[float, float], *, font: Any) -> None:
    width = pen.textlength(mark.text, font=font) + 8
    x = min(max(at[0], 0), max(pen.im.size[0] - width, 0))
    y = min(max(at[1], 0), max(pen.im.size[1] - PLATE, 0))
    pen.rectangle((x, y, x + width, y + PLATE), fill=mark.colour)
    pen.text((x + 4, y), mark.text, fill=INK, font=font)


def _surroundings(boxes: FloatArray, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the part to show: three times as wide as the marks, a quarter of the image at least."""
    height, width = size[:2]
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = max(3 * float((high - low).max()), max(width, height) / 4)
    start = np.clip((low + high) / 2 - side / 2, 0, np.maximum([width - side, height - side], 0))
    end = np.minimum(start + side, [width, height])
    return int(start[0]), int(start[1]), int(np.ceil(end[0])), int(np.ceil(end[1]))

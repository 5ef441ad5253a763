"""Label suspects for a person: suspects.json, and suspects.html with a picture of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core import layout
from pipeline.core.classification import Guessed
from pipeline.core.evaluation import Split
from pipeline.core.manifest import Item, Manifest
from pipeline.core.matching import Detections, Objects
from pipeline.core.suspects import Suspect, whole
from pipeline.edges import close_ups, files, pages
from pipeline.edges.close_ups import Mark

RULE: Final = (
    "Score of a missing or loose one: the model's confidence, times 1 less the overlap with the nearest "
    "label of that class; of a wrong class: the model's confidence, less that in the label's own class."
)
LABEL: Final = "#E69F00"
MODEL: Final = "#56B4E9"
"""From Okabe and Ito's palette, made for the colour-blind."""


class Judged(NamedTuple):
    """The images that were judged.

    Attributes:
        manifest: Of data/prepared.
        items: The images, in the order of the following.
        truths: The labels of each.
        found: What the model found in each.
        names: Class names by index; one alone where all classes were merged.
    """

    manifest: Manifest
    items: Sequence[Item]
    truths: Sequence[Objects]
    found: Sequence[Detections]
    names: Sequence[str]


class Picture(NamedTuple):
    """What the page shows of one suspect."""

    uri: str
    name: str
    split: str
    note: str


def gather(manifest: Manifest, parts: Mapping[str, Split | Guessed], names: Sequence[str]) -> Judged:
    """Put the splits' images into one list, a class of a whole image as an object that fills it.

    Args:
        manifest: Of data/prepared.
        parts: For each split its labels and what the model makes of its images, in the manifest's order.
        names: Class names by index; one alone where all classes were merged.
    """
    items = [item for split in parts for item in manifest.of(split)]
    splits = [
        whole(part, [(item.width, item.height) for item in manifest.of(split)])
        if isinstance(part, Guessed)
        else part
        for split, part in parts.items()
    ]
    truths = [truth for split in splits for truth in split.truths]
    return Judged(manifest, items, truths, [found for split in splits for found in split.found], names)


def write(folder: Path, suspects: Sequence[Suspect], judged: Judged) -> None:
    """Write suspects.json and suspects.html.

    Args:
        folder: Where; it exists.
        suspects: The strongest first.
        judged: What they were found in.
    """
    rows = [_row(suspect, judged) for suspect in suspects]
    text = json.dumps({"score": RULE, "suspects": rows}, indent=2, ensure_ascii=False) + "\n"
    files.write(folder / "suspects.json", text)
    page = pages.render(
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


def _row(suspect: Suspect, judged: Judged) -> dict[str, Any]:
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


def _picture(suspect: Suspect, row: dict[str, Any], judged: Judged) -> Picture:
    truth, found = judged.truths[suspect.image], judged.found[suspect.image]
    text = f"{row['found']['class']} {row['found']['confidence']:.2f}"
    marks = [Mark(found.boxes[suspect.found], _ring(found, suspect.found), MODEL, text)]
    if row["label"]:
        label, name = suspect.label, row["label"]["class"]
        marks.insert(0, Mark(truth.boxes[label], _ring(truth, label), LABEL, name))
    path = layout.PREPARED / "images" / row["file"]
    image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    uri = pages.data_uri(close_ups.draw(image, marks))
    return Picture(uri, row["source"], row["split"], _told(row))


def _ring(of: Objects | Detections, index: int) -> NDArray[np.float64] | None:
    """Return the outline of one object, or its four corners; None where it has a box alone."""
    return of.outlines[index] if index < len(of.outlines) else None

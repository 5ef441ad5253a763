"""Plain values and checks of a source that was read, and Hypothesis strategies for corrupted annotations."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.core.tasks import TASKS
from pipeline.source.types import Source

DATA = Path(__file__).parents[1] / "../shared/data"


def find_real_dataset(name):
    """Return the folder of a real dataset, or skip the test."""
    folder = (DATA / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"{name} is not beside the project: see ../shared/data")
    return folder


def get_boxes_by_path(source: Source) -> dict[str, list[tuple[Any, ...]]]:
    """Return class and exact box of each object by the path of its image in the source."""
    return {
        image.source: [
            (source.names[c], *box)
            for c, box in zip(image.raw.classes, image.raw.boxes.tolist(), strict=True)
        ]
        for image in source.images
    }


def get_boxes(source: Source) -> dict[str, list[tuple[Any, ...]]]:
    """Return class and box of each object by image name, rounded to a thousandth of a pixel."""
    return {
        image.path.stem: [
            (source.names[c], *(round(v, 3) for v in box))
            for c, box in zip(image.raw.classes, image.raw.boxes.tolist(), strict=True)
        ]
        for image in source.images
    }


def get_outlines(source: Source) -> dict[str, list[list[list[list[float]]]]]:
    """Return the parts of each object's outline, by image name."""
    return {
        image.path.stem: [[part.round(3).tolist() for part in parts] for parts in image.raw.outlines]
        for image in source.images
    }


def get_notes(source: Source) -> dict[str, list[tuple[bool, str]]]:
    """Return the notes of each image that has some, by image name: dropped or not, and the reason."""
    return {i.path.stem: [(n.dropped, n.reason) for n in i.notes] for i in source.images if i.notes}


def check_corrupted_source(read, folder):
    """Check that a corrupted source is refused, or is read and consistent."""
    try:
        source = read(folder)
    except UserError:
        return
    check_source(source)
    assert all(0 <= c < len(source.names) for image in source.images for c in image.raw.classes)


def check_source(source):
    """Check that a source is consistent: lengths agree, findings have a reason, text can be encoded."""
    assert len(set(source.names)) == len(source.names)
    assert source.task in TASKS
    assert source.task != "pose" or source.keypoints
    texts = [*source.names, *source.remarks, *(text for d in source.defects for text in (d.file, d.reason))]
    "".join(texts).encode()  # can be encoded
    assert all(texts)
    assert len({image.source for image in source.images}) == len(source.images)
    for image in source.images:
        raw = image.raw
        assert raw.boxes.shape == (len(raw.classes), 4)
        assert len(raw.marks) == len(raw.classes)
        "".join([image.source, image.fault, *raw.marks, *(note.reason for note in image.notes)]).encode()
        assert all(note.reason for note in image.notes)
        assert image.split in {None, "train", "val", "test"}
        assert image.size is None or min(image.size) > 0
        assert len(raw.outlines) in {0, len(raw.classes)}
        assert len(raw.keypoints) in {0, len(raw.classes)}
        assert all(part.ndim == 2 and part.shape[1] == 2 for parts in raw.outlines for part in parts)
        assert all(points.ndim == 2 and points.shape[1] == 3 for points in raw.keypoints)


_ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [
            0,
            -1,
            2,
            10**400,
            -(10**30),
            1e308,
            float("nan"),
            float("inf"),
            "\ud800",
            0.5,
            "",
            " ",
            "nan",
            "1",
            "x" * 300,
        ]
    ),
    st.text(max_size=5),
    st.sampled_from(
        [[], {}, [[]], [[1]], [[1, 2]], [1, 2, 3, 4], {"x": 1}, "../../x.jpg", "/etc/passwd", "C:\\x.jpg"]
    ),
)


@st.composite
def corrupted_json(draw, document):
    """Return a document as JSON bytes with one to three values replaced, removed or duplicated."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_iterate_places(document))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            holder[key] = copy.deepcopy(draw(_ODD_VALUES))  # a later change must not modify the drawn value
        elif isinstance(holder, list):
            holder.insert(0, holder[key])
        else:
            del holder[key]
    return json.dumps(document).encode()


@st.composite
def corrupted_bytes(draw, data):
    """Return bytes with a few pieces replaced or removed."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        stop = draw(st.integers(start, min(len(data), start + 20)))
        odd = st.one_of(
            st.binary(max_size=6), st.sampled_from([b"nan", b"1e999", b"-5", b"\n", b";", b'"', b"<", b"\0"])
        )
        data = data[:start] + draw(odd) + data[stop:]
    return data


def _iterate_places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _iterate_places(inner)

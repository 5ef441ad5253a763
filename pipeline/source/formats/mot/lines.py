"""Parse the lines and side files of one MOTChallenge sequence: gt.txt, seqinfo.ini, labels.txt."""

from __future__ import annotations

import configparser
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.reading.parsing import UnreadableFileError, load_text
from pipeline.source.reading.shapes import parse_coordinate

MOT_NAMES: Final = (
    *("pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non motorized vehicle"),
    *("static person", "distractor", "occluder", "occluder on the ground", "occluder full", "reflection"),
    "crowd",
)
"""Official names of the classes, counted from 1."""
_MIN_FIELDS: Final = 7
_WORLD_FIELDS: Final = 10
_MAX_FRAME: Final = 10_000_000


class MotLine(NamedTuple):
    """One line of gt.txt.

    Attributes:
        frame: The number of the frame, counted from 1.
        box: left, top, width, height in pixels.
        is_considered: The flag: False for what the benchmark ignores.
        class_number: The class, counted from 1; 1 if the line states none, 0 if it states that.
        is_hidden: The object is stated as not visible at all.
    """

    frame: int
    box: tuple[float, float, float, float]
    is_considered: bool
    class_number: int
    is_hidden: bool

    @property
    def class_index(self) -> int:
        """Return the index of the class, from 0; class 0 is read only where there is no other."""
        return max(0, self.class_number - 1)


class SequenceInfo(NamedTuple):
    """What seqinfo.ini states.

    Attributes:
        images: The folder of the frames.
        size: Width and height in pixels, if stated.
    """

    images: str = "img1"
    size: tuple[int, int] | None = None


def parse_line(line: str) -> MotLine:
    """Parse one line; MOT15 has three coordinates of the world, -1 each, in place of class and visibility.

    Raises:
        ValueError: It is no such line.
    """
    fields = _split_fields(line)
    if len(fields) < _MIN_FIELDS:
        raise ValueError(f"not frame,track,left,top,width,height,consider: {line[:60]!r}")
    frame = parse_coordinate(fields[0])
    if not (frame.is_integer() and 0 <= frame <= _MAX_FRAME):
        raise ValueError(f"{fields[0][:20]!r} is no number of a frame")
    left, top, width, height, flag = map(parse_coordinate, fields[2:7])
    has_class = len(fields) in {8, 9}
    number = parse_coordinate(fields[7]) if has_class else 1
    hidden = len(fields) == 9 and parse_coordinate(fields[8]) == 0
    return MotLine(
        int(frame), (left, top, width, height), flag != 0, int(number) if number >= 0 else 1, hidden
    )


def find_tenth_column_class(lines: Iterable[str]) -> int | None:
    """Return a class that lines of ten fields state, as those of VisDrone do; None in MOT15.

    MOT15 has there the coordinates of the world: -1 each, or fractions and negative numbers among them.
    """
    fields = [found for line in lines if len(found := _split_fields(line)) == _WORLD_FIELDS]
    ends = [end for found in fields if (end := _parse_numbers(found[7:]))]
    if any(not value.is_integer() or value < -1 for end in ends for value in end):
        return None
    return next((int(end[0]) for end in ends if end[0] > 0), None)


def _parse_numbers(fields: Iterable[str]) -> list[float]:
    """Return the numbers; none if one is no number: then the line becomes a finding, or is used without."""
    try:
        return [parse_coordinate(field) for field in fields]
    except ValueError:
        return []


def _split_fields(line: str) -> list[str]:
    return [field.strip() for field in line.rstrip(", ").split(",")]


def read_sequence_info(sequence: Path) -> SequenceInfo:
    """Read seqinfo.ini; what it does not state, or states wrongly, has the usual value."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(load_text(sequence / "seqinfo.ini")[0])
        stated = {key.lower(): value.strip() for key, value in parser["Sequence"].items()}
    except (UnreadableFileError, configparser.Error, KeyError):
        return SequenceInfo()
    sides = stated.get("imwidth", ""), stated.get("imheight", "")
    width, height = (int(side[:9]) if side.isdecimal() else 0 for side in sides)
    return SequenceInfo(stated.get("imdir") or "img1", (width, height) if min(width, height) > 0 else None)


def read_class_names(gt: Path) -> tuple[str, ...]:
    """Read labels.txt beside gt.txt, as CVAT and Datumaro write it; empty if there is none."""
    try:
        text, _ = load_text(gt.with_name("labels.txt"))
    except UnreadableFileError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())

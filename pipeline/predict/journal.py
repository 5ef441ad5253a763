"""The journal of a prediction: a line of JSON per image, so that a killed run goes on where it ended.

A line is written when all files of its image are. A last line without its end is left out when a run goes on.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pipeline.dataset.coco_head import dump_compact
from pipeline.predict.list_files import SourceFile
from pipeline.storage.files import name_failed_path


class ImageResult(NamedTuple):
    """What was found in one image.

    Attributes:
        name: Of the image, or of the frame: VIDEO/000001.
        file: The name of the source file, which is the image's own or the video's.
        number: Of the frame in its video, from 1; None for an image.
        output: Where its files are, below the folder of each format and without a suffix.
        size: Width and height in pixels.
        rows: COCO rows of the detections by descending score, each with `outline` (segment); of classify
            rows with category_id and score, the most probable first.
        note: What a user should know of it; may be empty.
    """

    name: str
    file: str
    number: int | None
    output: str
    size: tuple[int, int]
    rows: Sequence[dict[str, Any]]
    note: str = ""


class EarlierResults(NamedTuple):
    """What the journal of an earlier run has of the present files.

    Attributes:
        images: Names of the images, and of the videos that were read to their end.
        frames: How many frames of a video, by its name, were predicted on.
    """

    images: frozenset[str]
    frames: dict[str, int]


class JournalStretch(NamedTuple):
    """Lines of a journal that follow each other, about one video.

    Attributes:
        start: Bytes of the file before the first line.
        end: Bytes up to the end of the last line.
    """

    start: int
    end: int


class Journal:
    """A journal that is open for more lines. Use it as a context manager.

    Args:
        path: The file; it is created, or continued.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with name_failed_path(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def add_result(self, result: ImageResult, file: SourceFile) -> None:
        """Add what was found in an image or frame of a file."""
        self._write({**result._asdict(), "stamp": [file.size, file.changed]})

    def add_end(self, file: SourceFile) -> None:
        """Note that a video was read to its end."""
        self._write({"end": file.name, "stamp": [file.size, file.changed]})

    def add_error(self, file: SourceFile, error: str) -> None:
        """Add why a file cannot be read; the next run tries it again."""
        self._write({"unreadable": file.name, "reason": error})

    def flush(self) -> None:
        """Write what was added to the file, so that it survives the end of this process."""
        with name_failed_path(self._path):
            self._file.flush()

    def _write(self, line: dict[str, Any]) -> None:
        with name_failed_path(self._path):
            self._file.write(f"{dump_compact(line)}\n")


def name_output(file: SourceFile, number: int | None = None) -> str:
    """Return where the results of an image or of a frame go, as in `ImageResult.output`."""
    return file.output if number is None else f"{file.output}/{number:06d}"


def read_results(path: Path) -> Iterator[ImageResult]:
    """Yield the results in a journal."""
    for line in _iterate_lines(path):
        if "rows" in line:
            yield _build_result(line)


def find_frame_results(path: Path) -> dict[str, list[JournalStretch]]:
    """Find where the results of the frames of each video are in a journal, by the name of the video.

    Those of one video are in one stretch, or in several if a run was stopped and went on. The journal is read
    once for all videos.
    """
    found: dict[str, list[JournalStretch]] = {}
    for line, place in _iterate_placed_lines(path):
        if line.get("number") is None:
            continue
        stretches = found.setdefault(line["file"], [])
        if stretches and stretches[-1].end == place.start:
            stretches[-1] = JournalStretch(stretches[-1].start, place.end)
        else:
            stretches.append(place)
    return found


def read_frame_results(path: Path, stretches: Sequence[JournalStretch]) -> Iterator[ImageResult]:
    """Yield the results in stretches of a journal that `find_frame_results` found, in their order."""
    for stretch in stretches:
        for line, _ in _iterate_placed_lines(path, stretch):
            yield _build_result(line)


def read_errors(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and reason of the files in a journal that cannot be read."""
    for line in _iterate_lines(path):
        if "unreadable" in line:
            yield line["unreadable"], line["reason"]


def resume_journal(
    path: Path, files: Sequence[SourceFile], *, remove: Callable[[str], None]
) -> EarlierResults:
    """Keep of a journal what belongs to the present files, and return what it has.

    Left out are files that are gone or changed, files that could not be read, and frames after a gap.

    Args:
        path: The journal; it need not exist.
        files: The present files.
        remove: Gets each `ImageResult.output` that is left out: its files are of another image.
    """
    present = {file.name: file for file in files}
    images: set[str] = set()
    frames: dict[str, int] = {}
    kept_outputs: set[str] = set()
    left_out: set[str] = set()
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as kept, name_failed_path(part):
        for line in _iterate_lines(path) if path.exists() else ():
            file = present.get(line.get("file") or line.get("end") or "")
            if file is None or file.name in images or not _is_current(line, file, frames.get(file.name, 0)):
                left_out.add(line.get("output", ""))
                continue
            kept_outputs.add(line.get("output", ""))
            if line.get("number") is None:
                images.add(file.name)
            else:
                frames[file.name] = line["number"]
            kept.write(f"{dump_compact(line)}\n")
        kept.flush()
        os.fsync(kept.fileno())
    for output in left_out - kept_outputs - {""}:
        remove(output)
    part.replace(path)
    return EarlierResults(frozenset(images), frames)


def _is_current(line: dict[str, Any], file: SourceFile, frames: int) -> bool:
    """Check that a line is about a file as it is now, and is the next one of its frames."""
    if line["stamp"] != [file.size, file.changed]:
        return False
    number = line.get("number")
    if number is not None:
        return bool(number == frames + 1 and line["output"] == name_output(file, number))
    return "end" in line or bool(line["output"] == name_output(file))


def _build_result(line: Mapping[str, Any]) -> ImageResult:
    values = {key: value for key, value in line.items() if key != "stamp"}
    return ImageResult(**{**values, "size": tuple(line["size"])})


def _iterate_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines up to the first damaged one."""
    return (line for line, _ in _iterate_placed_lines(path))


def _iterate_placed_lines(
    path: Path, stretch: JournalStretch | None = None
) -> Iterator[tuple[dict[str, Any], JournalStretch]]:
    """Yield the lines of a stretch, or of the whole file, and their places, up to the first damaged line."""
    with path.open("rb") as file:
        start, end = stretch or (0, math.inf)
        file.seek(start)
        while start < end:
            text = file.readline()
            try:
                value = json.loads(text) if text.endswith(b"\n") else None
            except ValueError:
                return
            if not isinstance(value, dict):
                return
            place = JournalStretch(start, start + len(text))
            yield value, place
            start = place.end

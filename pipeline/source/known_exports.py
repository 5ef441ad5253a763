"""Name the tool that wrote annotations which cannot be read, and what to export instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.source.reading.file_tree import format_relative_path, iterate_files, read_head

_SUFFIXES: Final = (".json", ".jsonl", ".ndjson", ".odgt", ".geojson", ".manifest", ".csv", ".txt")
_MAX_FILES: Final = 40
_MAX_LINE: Final = 50
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_NUMBER: Final = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")
_COMMA_NUMBER: Final = re.compile(r"\d+,\d+")
_COORDINATES: Final = 4


class KnownExport(NamedTuple):
    """What files of a tool contain, and what to do with them.

    Attributes:
        tool: What wrote the file.
        keys: Texts that all are in the beginning of such a file.
        advice: What to export instead.
    """

    tool: str
    keys: tuple[bytes, ...]
    advice: str


_KNOWN: Final = (
    KnownExport("SuperAnnotate", (b'"instances"', b'"className"'), "export COCO there"),
    KnownExport("V7 Darwin", (b'"annotations"', b'"slot_names"'), "export COCO or Pascal VOC there"),
    KnownExport("Labelbox", (b'"data_row"',), "convert it to COCO, such as with labelbox's converter"),
    KnownExport("Labelbox", (b'"Labeled Data"',), "convert it to COCO, such as with labelbox's converter"),
    KnownExport("FiftyOne", (b'"classes"', b'"bounding_box"'), "export COCODetectionDataset there"),
    KnownExport("BDD100K", (b'"box2d"',), "convert it to COCO with bdd100k.label.to_coco"),
    KnownExport("Hugging Face (metadata.jsonl)", (b'"file_name"', b'"objects"'), "export COCO or YOLO"),
    KnownExport("CrowdHuman", (b'"gtboxes"',), "convert it to COCO"),
    KnownExport("Amazon SageMaker", (b'"source-ref"',), "convert the manifest to COCO"),
    KnownExport("a geographic information system", (b'"FeatureCollection"',), "convert it to COCO or masks"),
    KnownExport(
        "Kaggle (run lengths)", (b"EncodedPixels",), "save a mask (PNG) per image, or convert to COCO"
    ),
    KnownExport("a geographic information system", (b"POLYGON ((",), "convert it to COCO or masks"),
    KnownExport("Label Studio (CSV)", (b'""rectanglelabels""',), "export JSON or COCO there"),
    KnownExport("Label Studio (CSV)", (b'""polygonlabels""',), "export JSON or COCO there"),
    KnownExport(
        "Roboflow (JSONL for language models)", (b'"prefix"', b'"suffix"'), "export COCO or YOLO there"
    ),
)


def describe_known_export(folder: Path) -> str:
    """Say which tool wrote the first known file, or what is wrong with the labels of images; or nothing."""
    files = sorted(islice(iterate_files(folder, *_SUFFIXES), _MAX_FILES))
    for path in files:
        head = read_head(path)
        if known := next((each for each in _KNOWN if all(key in head for key in each.keys)), None):
            where = format_relative_path(path, folder)
            return f"{where} looks like an export of {known.tool}: {known.advice}"
    stems = {path.stem for path in islice(iterate_files(folder, *IMAGE_SUFFIXES), 25 * _MAX_FILES)}
    return _describe_labels(
        (path for path in files if path.suffix.lower() == ".txt" and path.stem in stems), folder
    )


def _describe_labels(texts: Iterable[Path], folder: Path) -> str:
    """Say why the first text file of an image holds no readable labels; empty if that is not known."""
    for path in texts:
        head, where = read_head(path), format_relative_path(path, folder)
        if head.startswith(_UTF16):
            return f"{where} is UTF-16 text: save the label files as UTF-8"
        line = next((line for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()), "")
        if reason := _explain_line(line.strip()):
            return f"{where} begins with {line.strip()[:_MAX_LINE]!r}: {reason}"
    return ""


def _explain_line(line: str) -> str:
    fields = line.split()
    numbers = [field for field in fields if _NUMBER.fullmatch(field)]
    if len(fields) > _COORDINATES and all(map(_COMMA_NUMBER.fullmatch, fields[1:])):
        return "decimals are written with a comma, YOLO writes a point"
    parts = line.split(",")
    are_shares = all(_NUMBER.fullmatch(part) and float(part) <= 1 for part in parts[1:])
    if len(fields) == 1 and len(parts) > _COORDINATES and parts[0].isdecimal() and are_shares:
        return "numbers are separated by commas, YOLO separates them by blanks"
    if len(numbers) == _COORDINATES and len(fields) == _COORDINATES + 1 and fields[0] not in numbers:
        return "YOLO writes a class number first, and the names to classes.txt"
    if len(numbers) > _COORDINATES and len(fields) == len(numbers) + 1 and fields[-1] not in numbers:
        return "YOLO writes nothing behind the coordinates"
    return ""

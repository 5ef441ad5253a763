"""Annotation files: found, and read as JSON, XML or text, with a sentence for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pipeline.core.errors import UserError
from pipeline.source.reading.file_tree import files_in, head_of, in_order, relative


class UnreadableFileError(ValueError):
    """Say why a file cannot be read, in words that follow its name."""


def unusable(path: Path, error: UnreadableFileError) -> str:
    """Say of an image why its annotation cannot be used."""
    return f"its annotation {own_name(path)} {error}"


def own_name(path: Path) -> str:
    """Return a file's name as text that can be written."""
    return relative(path, path.parent)


def files(folder: Path, *suffixes: str) -> list[Path]:
    """List the files of a kind below a folder, sorted."""
    return in_order(files_in(folder, *suffixes))


def heads(folder: Path, suffix: str, *, few: int = 20) -> Iterator[bytes]:
    """Yield the beginnings of a few files of a kind, to recognise a format by."""
    return (head_of(path) for path in islice(files_in(folder, suffix), few))


def first_lines(folder: Path, suffix: str, *, few: int = 5) -> Iterator[str]:
    """Yield the first lines of a few text files of a kind."""
    for head in heads(folder, suffix):
        yield from head.decode("utf-8-sig", errors="replace").splitlines()[:few]


def left_aside(paths: Sequence[Path], why: str) -> list[str]:
    """Say that files of a fitting suffix are no annotations."""
    if not paths:
        return []
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return [f"{own_name(paths[0])}{more}: {why}: left aside"]


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        Unreadable: It is none.
    """
    return parse_json(_bytes(path))


def parse_json(data: bytes) -> Any:
    """Parse JSON; half a character (one escape of a pair alone), which no text can hold, becomes `?`.

    Raises:
        Unreadable: It is none.
    """
    try:
        value = json.loads(data)
        if b"\\ud" in data or b"\\uD" in data:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"is no JSON ({error})") from None
    return value


def load_xml(path: Path) -> Element:
    """Read an XML file; entities are not expanded.

    Raises:
        Unreadable: It is none, or declares entities.
    """
    try:
        return parse_xml(_bytes(path))
    except DefusedXmlException:
        raise UnreadableFileError("declares XML entities, which can be used to attack a reader") from None
    except (ParseError, ValueError, LookupError) as error:
        raise UnreadableFileError(f"is no XML ({error})") from None


def parse_xml(data: bytes) -> Element:
    """Parse XML; entities are not expanded.

    Only a document type can declare any. Where none is spelled out, in an encoding with one byte for `<`,
    Python's own parser does what defusedxml's does, in a fifth of the time: that one is not in C.

    Raises:
        DefusedXmlException: It declares entities.
        ParseError: It is none; ValueError and LookupError, of its encoding, say the same.
    """
    undeclared = b"<!DOCTYPE" not in data and b"\0" not in data
    root: Element = ElementTree.fromstring(data) if undeclared else fromstring(data)
    return root


def load_text(path: Path) -> tuple[str, bool]:
    """Read a text file: UTF-8, UTF-16 with its mark, or else Latin-1, in which every byte is a character.

    Returns:
        The text, and whether it had to be taken for Latin-1.

    Raises:
        Unreadable: The file cannot be read.
    """
    data = _bytes(path)
    for encoding in ("utf-16",) if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig",):
        try:
            return data.decode(encoding), False
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), True


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror})") from None


def lines_of(file: Path) -> list[str]:
    """Read a list, a line per item.

    Raises:
        Refused: It is no text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError("of no text, nor of any path")
        return text.splitlines()
    except (OSError, ValueError):  # UnicodeDecodeError is one
        raise UserError(f"{file} cannot be read as UTF-8 text: write it anew as a line per item") from None

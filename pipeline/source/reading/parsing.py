"""Read annotation files as JSON, XML or text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pipeline.core.errors import UserError
from pipeline.source.reading.file_tree import format_relative_path, iterate_files, read_head

_MAX_SAMPLED_FOLDERS: Final = 50
_MAX_SAMPLED_FILES: Final = 20
_MAX_OPENED_FILES: Final = 1000
"""Files that are opened to find some that are not empty: images without objects may come first."""


class UnreadableFileError(ValueError):
    """Why a file cannot be read; the message follows the file name in a sentence."""


def describe_unusable_annotation(path: Path, error: UnreadableFileError) -> str:
    """Return why an image's annotation cannot be used."""
    return f"its annotation {format_file_name(path)} {error}"


def format_file_name(path: Path) -> str:
    """Return a file name as printable text; bytes that are not UTF-8 are escaped."""
    return format_relative_path(path, path.parent)


def read_heads(folder: Path, suffix: str, *, few: int = _MAX_SAMPLED_FILES) -> Iterator[bytes]:
    """Yield the first bytes of a few files with a suffix that are not empty, to recognize a format."""
    heads = map(read_head, islice(iterate_files(folder, suffix), _MAX_OPENED_FILES))
    return islice((head for head in heads if head.strip()), few)


def read_first_lines(
    folder: Path, suffix: str, *, few: int = 5, headers: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield the first lines of a few text files with a suffix; files without lines do not count.

    Args:
        folder: The folder.
        suffix: Of the files.
        few: Lines of a file.
        headers: Starts of lines, in lower case, that do not count.
    """
    counted = 0
    for head in read_heads(folder, suffix, few=_MAX_OPENED_FILES):
        lines = _decode_lines(head)
        kept = [line for line in lines if line.strip() and not line.lower().startswith(headers)]
        yield from kept[:few]
        counted += bool(kept)
        if counted == _MAX_SAMPLED_FILES:
            return


def read_first_lines_by_folder(folder: Path, suffix: str, *, few: int = 5) -> Iterator[str]:
    """Yield the first lines of a few text files of each of the first folders that hold some.

    For formats whose label files lie beside folders of other files with the same suffix. Files without lines
    do not count.
    """
    opened: Counter[Path] = Counter()
    counts: Counter[Path] = Counter()
    for path in iterate_files(folder, suffix):
        opened[path.parent] += 1
        is_sampled = counts[path.parent] < few and opened[path.parent] <= _MAX_OPENED_FILES
        if is_sampled and len(opened) <= _MAX_SAMPLED_FOLDERS and (head := read_head(path)).strip():
            counts[path.parent] += 1
            yield from _decode_lines(head)[:few]


def _decode_lines(head: bytes) -> list[str]:
    return head.decode("utf-8-sig", errors="replace").splitlines()


def describe_ignored_files(paths: Sequence[Path], why: str) -> list[str]:
    """Return a remark about files that have the right suffix but are no annotations."""
    if not paths:
        return []
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return [f"{format_file_name(paths[0])}{more}: {why}: left aside"]


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UnreadableFileError: It cannot be read, or is not JSON.
    """
    return parse_json(_read_bytes(path))


def parse_json(data: bytes) -> Any:
    """Parse JSON; a lone surrogate, which UTF-8 cannot encode, becomes `?`.

    Raises:
        UnreadableFileError: It is not JSON.
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
        UnreadableFileError: It cannot be read, is not XML, or declares entities.
    """
    try:
        return parse_xml(_read_bytes(path))
    except DefusedXmlException:
        raise UnreadableFileError("declares XML entities, which can be used to attack a reader") from None
    except (ParseError, ValueError, LookupError) as error:
        raise UnreadableFileError(f"is no XML ({error})") from None


def parse_xml(data: bytes) -> Element:
    """Parse XML; entities are not expanded.

    Only a DOCTYPE can declare entities. Without one, in an encoding with one byte for `<`, Python's own C
    parser gives the same result as defusedxml, five times as fast.

    Raises:
        DefusedXmlException: It declares entities.
        ParseError: It is not XML. ValueError or LookupError: its encoding is wrong or unknown.
    """
    undeclared = b"<!DOCTYPE" not in data and b"\0" not in data
    root: Element = ElementTree.fromstring(data) if undeclared else fromstring(data)
    return root


def load_text(path: Path) -> tuple[str, bool]:
    """Read a text file as UTF-8, as UTF-16 if it has a byte order mark, or else as Latin-1.

    Returns:
        The text, and whether it was read as Latin-1, which accepts any bytes.

    Raises:
        UnreadableFileError: The file cannot be read.
    """
    data = _read_bytes(path)
    for encoding in ("utf-16",) if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig",):
        try:
            return data.decode(encoding), False
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), True


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror})") from None


def read_lines(file: Path) -> list[str]:
    """Read a list with one item per line.

    Raises:
        UserError: It is not UTF-8 text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError("neither text nor a path has a null byte")
        return text.splitlines()
    except (OSError, ValueError):  # UnicodeDecodeError is a ValueError
        raise UserError(
            f"{file} cannot be read as UTF-8 text: save it as UTF-8, with one item per line"
        ) from None

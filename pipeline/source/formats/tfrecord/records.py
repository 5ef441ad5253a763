"""Read the records of a TFRecord file, and the features of a tf.train.Example, without TensorFlow.

A record is its length, a checksum of that, the contents, and a checksum of those. An Example is a protocol
buffer: a map of names to lists of bytes, floats or integers. Checksums of contents are not computed: damaged
images are found when they are decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_HEADER_BYTES: Final = 12
_FOOTER_BYTES: Final = 4
_POLYNOMIAL: Final = 0x82F63B78
"""CRC-32C, bits reversed."""
_MASK_DELTA: Final = 0xA282EAD8
_FIXED_BYTES: Final = {1: 8, 5: 4}
"""Bytes of a value by wire type: 64 and 32 bits."""
_VARINT, _LENGTH_DELIMITED = 0, 2
_MAX_VARINT_BYTES: Final = 10


class TfRecord(NamedTuple):
    """One record: where its contents begin in the file, and the contents."""

    offset: int
    contents: bytes


class Feature(NamedTuple):
    """The values of one feature.

    Attributes:
        spans: Start and stop of each value in the contents of the record, if the values are bytes.
        numbers: The values, if they are floats or integers.
    """

    spans: tuple[tuple[int, int], ...] = ()
    numbers: tuple[float, ...] = ()


class _WireField(NamedTuple):
    """One field of a protocol buffer: its number, and an integer or the span of its bytes."""

    number: int
    wire: int
    integer: int
    start: int
    stop: int


def is_tfrecord_head(head: bytes) -> bool:
    """Check the first 12 bytes of a file: a length and its checksum."""
    return len(head) >= _HEADER_BYTES and _read_length(head[:_HEADER_BYTES]) is not None


def iterate_records(path: Path) -> Iterator[TfRecord]:
    """Yield the records of a file.

    Raises:
        ValueError: The file ends within a record, or is damaged.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        while header := file.read(_HEADER_BYTES):
            yield _read_record(file, header, size)


def _read_record(file: BinaryIO, header: bytes, size: int) -> TfRecord:
    length, offset = _read_length(header), file.tell()
    if length is None:
        raise ValueError("a length with a wrong checksum")
    if offset + length + _FOOTER_BYTES > size:
        raise ValueError("the file ends within it")
    contents = file.read(length)
    file.seek(_FOOTER_BYTES, 1)
    return TfRecord(offset, contents)


def _read_length(header: bytes) -> int | None:
    if len(header) < _HEADER_BYTES:
        return None
    length, checksum = struct.unpack("<QI", header)
    return int(length) if checksum == compute_masked_crc(header[:8]) else None


def compute_masked_crc(data: bytes) -> int:
    """Return the checksum of TFRecord: CRC-32C, rotated, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def parse_example(contents: bytes) -> Mapping[str, Feature]:
    """Return the features of a tf.train.Example by name.

    Raises:
        ValueError: It is no such protocol buffer.
    """
    found = {}
    for features in _iterate_fields(contents, 0, len(contents)):
        for entry in _iterate_fields(contents, features.start, features.stop):
            name, feature = "", Feature()
            for field in _iterate_fields(contents, entry.start, entry.stop):
                if field.number == 1:
                    name = contents[field.start : field.stop].decode(errors="replace")
                else:
                    feature = _parse_feature(contents, field)
            found[name] = feature
    return found


def _parse_feature(contents: bytes, holder: _WireField) -> Feature:
    """Parse the one list of a feature: bytes (1), floats (2) or integers (3)."""
    spans: list[tuple[int, int]] = []
    numbers: list[float] = []
    for kind in _iterate_fields(contents, holder.start, holder.stop):
        for value in _iterate_fields(contents, kind.start, kind.stop):
            if kind.number == 1:
                spans.append((value.start, value.stop))
            elif kind.number == 2:
                floats = contents[value.start : value.stop]
                numbers += struct.unpack(f"<{len(floats) // 4}f", floats[: len(floats) // 4 * 4])
            elif value.wire == _VARINT:
                numbers.append(_to_signed(value.integer))
            else:
                numbers += _iterate_packed_integers(contents, value)
    return Feature(tuple(spans), tuple(numbers))


def _iterate_packed_integers(contents: bytes, field: _WireField) -> Iterator[int]:
    position = field.start
    while position < field.stop:
        value, position = _read_varint(contents, position, field.stop)
        yield _to_signed(value)


def _iterate_fields(contents: bytes, start: int, stop: int) -> Iterator[_WireField]:
    """Yield the fields of a protocol buffer between two positions."""
    position = start
    while position < stop:
        key, position = _read_varint(contents, position, stop)
        wire, integer, begin = key & 7, 0, position
        if wire == _VARINT:
            integer, position = _read_varint(contents, position, stop)
        elif wire == _LENGTH_DELIMITED:
            length, begin = _read_varint(contents, position, stop)
            position = begin + length
        elif wire in _FIXED_BYTES:
            position += _FIXED_BYTES[wire]
        else:
            raise ValueError("no protocol buffer of tf.train.Example")
        if position > stop:
            raise ValueError("a value that ends outside its record")
        yield _WireField(key >> 3, wire, integer, begin, position)


def _read_varint(contents: bytes, position: int, stop: int) -> tuple[int, int]:
    """Return an integer of seven bits per byte, and the position after it."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= stop:
            break
        byte = contents[position + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, position + index + 1
    raise ValueError("a number that does not end")


def _to_signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value

"""Spoil inputs where it matters: values of JSON, tags and numbers of text, checksums put right again.

An input is the annotation files of a source in one piece, parted by SEPARATOR; a part is spoilt at a time.
"""

from __future__ import annotations

import copy
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

SEPARATOR: Final = b"\n--8<--\n"
ABSENT: Final = b"-"
"""The contents of a part that stand for no such file."""

Flip = Callable[[bytes], bytes]
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_BLOCK: Final = 512
_MOST_TOKENS: Final = 10_000
_TOKEN: Final = re.compile(rb"<[^<>]*>|[A-Za-z_]+|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\s+|.", re.DOTALL)
_WORDS: Final = [
    *(b"0", b"-0", b"1", b"2", b"-1", b"0.5", b"1e-320", b"1e308", b"1e999", b"nan", b"inf", b"-inf", b"1_0"),
    *(
        b"9" * 30,
        b"9" * 400,
        b"255",
        b"65536",
        b"2147483648",
        b"9223372036854775808",
        b"\xd9\xa3",
        b"\xc2\xb2",
    ),
    *(b"null", b"true", b"[]", b"{}", b"~", b"", b" ", b"\n", b"\r", b"\t", b"\0", b"\x1c", b"\x85"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xff", b"\xe2\x80\xa8", b"\\ud800", b'"', b"'", b",", b";", b":", b"#"),
    *(b"../../x.jpg", b"/etc/passwd", b"C:\\x.jpg", b"x.jpg", b"y.jpg", b"con.jpg", b"x" * 300, b"/" * 5000),
    *(b"&a;", b"&#0;", b"<x/>", b"<!DOCTYPE x>", b"<![CDATA[", b"]]>", b"&a ", b"*a", b"!!python/name:os.x"),
    *(
        b"- ",
        b"|",
        b">",
        b"? ",
        b"<<: ",
        b"%YAML 9.9",
        b"---\n",
        b"...\n",
        b"=cmd()",
        b"0x10",
        b"0o7",
        b"1:30",
    ),
]
_VALUES: Final[list[Any]] = [
    *(None, True, False, 0, -1, 1, 2, 0.5, 10**400, -(10**30), 2**31, 2**63, 1e308, 5e-324, float("nan")),
    *(float("inf"), "", " ", "nan", "1", "\ud800", "\0", "\n", "a\u2028b", "x" * 300),
    *("²", "٣", [], {}, [[]]),
    *([1], [1, 2], [1, 2, 3, 4], [[1, 2]], [[1, 2], [3, 4], [5, 6]], [None], {"x": 1}, {"0": []}, [{}]),
    *("../../x.jpg", "/etc/passwd", "C:\\x.jpg", "x.jpg", "y.jpg", ".", "..", "/", "x" * 300 + ".jpg"),
]


def parted(data: bytes) -> list[bytes]:
    """Return the parts of an input."""
    return data.split(SEPARATOR)


def spoilt(data: bytes, rng: Random, flip: Flip, *, longest: int) -> bytes:
    """Return an input with one part spoilt.

    Args:
        data: The input.
        rng: Decides where and how.
        flip: Spoils bytes without knowing what they are.
        longest: Bytes of the outcome.
    """
    parts = parted(data)
    place = rng.randrange(len(parts))
    parts[place] = rng.choice(_ways(parts[place], flip))(parts[place], rng)
    return SEPARATOR.join(parts)[:longest]


def flipped(data: bytes, rng: Random) -> bytes:
    """Exchange, cut out or repeat a few bytes: what stands in for libFuzzer where there is none."""
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.randrange(16))
    return data[:start] + rng.choice([rng.randbytes(3), b"", data[start:stop] * 2]) + data[stop:]


def _ways(part: bytes, flip: Flip) -> list[Callable[[bytes, Random], bytes]]:
    def plain(data: bytes, _: Random) -> bytes:
        return flip(data)

    if part.startswith(_PNG):
        return [plain, lambda data, _: with_checksums(flip(data))]
    if part[257:262] == b"ustar":
        return [plain, lambda data, _: with_header_sums(flip(data))]
    return [plain, _tree, _tree, _tokens] if part[:1] in {b"{", b"["} else [plain, _tokens, _tokens]


def _tokens(part: bytes, rng: Random) -> bytes:
    """Exchange, leave out or repeat words, numbers and tags."""
    found = _TOKEN.findall(part) or [b""]
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(found))
        stop = start + rng.choice((1, 1, 2, 8, len(found)))
        word, held = rng.choice(_WORDS), found[start:stop]
        repeated = held * rng.choice((2, 2, 3, 300))
        ways: tuple[list[bytes], ...] = ([word], [word], [], [*held, word], repeated, [rng.choice(found)])
        found = [*found[:start], *rng.choice(ways), *found[stop:]][:_MOST_TOKENS] or [b""]
    return b"".join(found)


def _tree(part: bytes, rng: Random) -> bytes:
    """Exchange, leave out, repeat or nest values of JSON; what is none is spoilt as text."""
    try:
        document = json.loads(part)
        for _ in range(rng.choice((1, 1, 2, 4))):
            places = list(_places(document))
            if places:
                holder, key = rng.choice(places)
                _change(holder, key, [inner[at] for inner, at in places], rng)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return _tokens(part, rng)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


def _change(holder: Any, key: Any, others: list[Any], rng: Random) -> None:
    way = rng.randrange(6)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder.insert(0, copy.deepcopy(holder[key]))
    elif way == 2:
        holder[key] = copy.deepcopy(rng.choice(others))
    elif way == 3:
        for _ in range(rng.choice((1, 3, 200))):
            holder[key] = [holder[key]]
    else:
        holder[key] = copy.deepcopy(rng.choice(_VALUES))


def with_checksums(data: bytes) -> bytes:
    """Put the checksums of a PNG right, so that what they guard is looked at."""
    out, at = bytearray(data), len(_PNG)
    while at + 12 <= len(out):
        end = at + 8 + struct.unpack_from(">I", out, at)[0]
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def with_header_sums(data: bytes) -> bytes:
    """Put the checksums of a tar's headers right."""
    out = bytearray(data)
    for at in range(0, len(out) - _BLOCK + 1, _BLOCK):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + _BLOCK])
    return bytes(out)

"""Corrupt inputs by structure: JSON values, words and numbers of text, files with corrected checksums.

An input is the annotation files of a source, joined by SEPARATOR; one part is corrupted at a time.
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
"""Contents of a part that mean: this file does not exist."""

Flip = Callable[[bytes], bytes]
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_BLOCK: Final = 512
_MAX_TOKENS: Final = 10_000
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


def split_parts(data: bytes) -> list[bytes]:
    """Split an input into its parts."""
    return data.split(SEPARATOR)


def corrupt_input(data: bytes, rng: Random, flip: Flip, *, longest: int) -> bytes:
    """Return an input with one corrupted part.

    Args:
        data: The input.
        rng: Chooses where and how.
        flip: Corrupts bytes of any kind.
        longest: Largest size of the result in bytes.
    """
    parts = split_parts(data)
    place = rng.randrange(len(parts))
    parts[place] = rng.choice(_list_mutations(parts[place], flip))(parts[place], rng)
    return SEPARATOR.join(parts)[:longest]


def flip_bytes(data: bytes, rng: Random) -> bytes:
    """Replace, remove or repeat a few bytes: a substitute for libFuzzer's own mutation."""
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.randrange(16))
    return data[:start] + rng.choice([rng.randbytes(3), b"", data[start:stop] * 2]) + data[stop:]


def _list_mutations(part: bytes, flip: Flip) -> list[Callable[[bytes, Random], bytes]]:
    def plain(data: bytes, _: Random) -> bytes:
        return flip(data)

    if part.startswith(_PNG):
        return [plain, lambda data, _: fix_png_checksums(flip(data))]
    if part[257:262] == b"ustar":
        return [plain, lambda data, _: fix_tar_checksums(flip(data))]
    return (
        [plain, _mutate_json, _mutate_json, _mutate_tokens]
        if part[:1] in {b"{", b"["}
        else [plain, _mutate_tokens, _mutate_tokens]
    )


def _mutate_tokens(part: bytes, rng: Random) -> bytes:
    """Replace, remove or repeat words, numbers and tags."""
    found = _TOKEN.findall(part) or [b""]
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(found))
        stop = start + rng.choice((1, 1, 2, 8, len(found)))
        word, held = rng.choice(_WORDS), found[start:stop]
        repeated = held * rng.choice((2, 2, 3, 300))
        ways: tuple[list[bytes], ...] = ([word], [word], [], [*held, word], repeated, [rng.choice(found)])
        found = [*found[:start], *rng.choice(ways), *found[stop:]][:_MAX_TOKENS] or [b""]
    return b"".join(found)


def _mutate_json(part: bytes, rng: Random) -> bytes:
    """Replace, remove, repeat or nest JSON values; invalid JSON is corrupted as text."""
    try:
        document = json.loads(part)
        for _ in range(rng.choice((1, 1, 2, 4))):
            places = list(_iterate_places(document))
            if places:
                holder, key = rng.choice(places)
                _change_value(holder, key, [inner[at] for inner, at in places], rng)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return _mutate_tokens(part, rng)


def _iterate_places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _iterate_places(inner)


def _change_value(holder: Any, key: Any, others: list[Any], rng: Random) -> None:
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


def fix_png_checksums(data: bytes) -> bytes:
    """Correct the checksums of a PNG, so that readers go past them."""
    out, at = bytearray(data), len(_PNG)
    while at + 12 <= len(out):
        end = at + 8 + struct.unpack_from(">I", out, at)[0]
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def fix_tar_checksums(data: bytes) -> bytes:
    """Correct the checksums of tar headers."""
    out = bytearray(data)
    for at in range(0, len(out) - _BLOCK + 1, _BLOCK):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + _BLOCK])
    return bytes(out)

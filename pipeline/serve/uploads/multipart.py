"""Split a body of multipart/form-data into its parts (RFC 7578), in memory and without copies of files."""

from __future__ import annotations

import re
from email.message import Message
from typing import Final, NamedTuple

from pipeline.serve.uploads.limits import RequestError

MAX_HEADER_BYTES: Final = 4096
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""As RFC 2046 allows it."""


class FormPart(NamedTuple):
    """One part of a form.

    Attributes:
        name: Of the field.
        is_file: Whether it has a file name. The name itself is not used.
        data: Its bytes.
    """

    name: str
    is_file: bool
    data: bytes


def split_multipart(body: bytes, content_type: str, *, max_parts: int) -> list[FormPart]:
    """Split the body of a form into its parts.

    Args:
        body: The whole body.
        content_type: The header of the request, with the boundary.
        max_parts: More are refused.

    Raises:
        RequestError: It is cut short, or no such form (400), or has too many parts (413).
    """
    boundary = _read_boundary(content_type)
    delimiter = b"\r\n--" + boundary
    at = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + 2
    if at == 1:
        raise RequestError(400, "the form does not contain the boundary that its Content-Type names")
    at += len(delimiter) - 2
    parts: list[FormPart] = []
    while not body.startswith(b"--", at):
        if len(parts) == max_parts:
            raise RequestError(413, f"the form has more than {max_parts} parts: send fewer in one request")
        start, end = body.find(b"\r\n", at) + 2, body.find(delimiter, at)
        if end < 0 or start < 2 or body[at : start - 2].strip(b" \t"):
            raise RequestError(400, "the form is cut short: its last boundary is missing")
        parts.append(_parse_part(body, start, end))
        at = end + len(delimiter)
    return parts


def _read_boundary(content_type: str) -> bytes:
    boundary = _read_parameter(content_type, "boundary") or ""
    if not _BOUNDARY.fullmatch(boundary):
        raise RequestError(400, "the Content-Type of the form names no valid boundary")
    return boundary.encode()


def _parse_part(body: bytes, start: int, end: int) -> FormPart:
    limit = min(end, start + MAX_HEADER_BYTES)
    blank = start - 2 if body.startswith(b"\r\n", start) else body.find(b"\r\n\r\n", start, limit)
    if blank < 0:
        raise RequestError(400, "a part of the form has no end of its headers")
    disposition = _find_disposition(body[start:blank].decode("utf-8", "replace"))
    name = _read_parameter(disposition, "name")
    if name is None:
        raise RequestError(400, "a part of the form has no name in its Content-Disposition")
    is_file = _read_parameter(disposition, "filename") is not None
    return FormPart(name, is_file or "filename*" in disposition, body[blank + 4 : end])


def _find_disposition(headers: str) -> str:
    for line in headers.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-disposition":
            return value
    return ""


def _read_parameter(header: str, name: str) -> str | None:
    message = Message()
    message["Content-Disposition"] = " ".join(header.split("\n")).replace("\r", " ")
    found = message.get_param(name, header="Content-Disposition")
    return found if isinstance(found, str) else None

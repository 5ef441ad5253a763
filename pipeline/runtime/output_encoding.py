"""Print any text on any terminal: characters that its encoding lacks are escaped.

Standard library only, since every command imports it.
"""

from __future__ import annotations

import io
import sys


def escape_unencodable_output() -> None:
    r"""Let standard output and standard error write what they cannot encode as an escape, such as `\u6a58`.

    Windows code pages and `PYTHONIOENCODING=ascii` lack most letters, and no encoding has the bytes of a file
    name that is not UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escape_unencodable(text: str) -> str:
    """Return a text as standard output will write it, to measure its width."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def needs_ascii_json() -> bool:
    """Return whether JSON for standard output must be ASCII: escapes of the stream are not valid in JSON."""
    return not (sys.stdout.encoding or "utf-8").lower().startswith("utf")

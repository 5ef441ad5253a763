"""Quote texts for Hydra's override grammar."""

from __future__ import annotations

import re
from typing import Final

from pipeline.core.paths import expand_home

_VALUE_PART: Final = re.compile(
    r"""
    "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'  # a text in quotes
    | (?P<before>(?:^|[\[,({:])\s*)  # a value begins, or an item of it
      (?P<home>~[\w.-]*(?:/[^\[\](){},"'\\]*)?)(?=[\])},]|$)
    """,
    re.VERBOSE,
)
"""A text in quotes, or a path that begins with the home folder."""


def quote_override_text(text: str) -> str:
    r"""Quote a text for Hydra where it must be: backslashes count only before a quote; there `\\` is one."""
    if re.fullmatch(r"[A-Za-z0-9_.+/-]*/[A-Za-z0-9_.+/-]+", text):  # with a slash it is no number and no null
        return text
    escaped = re.sub(r'(\\*)("|$)', lambda found: f"{found[1] * 2}{chr(92) * bool(found[2])}{found[2]}", text)
    return f'"{escaped}"'


def expand_home_in_override(word: str) -> str:
    """Put the home folder in place of `~` where a value of an override, or an item of it, begins so unquoted.

    Hydra's grammar has no such texts, and shells expand `~` at the start of a word alone. `~name` is the home
    folder of this user, or a folder of that name where there is none. `~` in quotes stays, and so does a word
    that is a path or deletes a key, as `~tracking.tags.line` does.

    Args:
        word: As typed, such as `data.source=~/a` or `data.source=[~/a,~/b]`.
    """
    key, equals, value = word.partition("=")
    return key + equals + _VALUE_PART.sub(_expand_part, value)


def _expand_part(part: re.Match[str]) -> str:
    """Return a part of a value, which is a text in quotes or begins with `~`."""
    if not part["home"]:
        return part[0]
    return part["before"] + quote_override_text(str(expand_home(part["home"].rstrip())))

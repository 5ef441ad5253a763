"""Quote texts for Hydra's override grammar."""

from __future__ import annotations

import re


def quote_override_text(text: str) -> str:
    r"""Quote a text for Hydra where it must be: backslashes count only before a quote; there `\\` is one."""
    if re.fullmatch(r"[A-Za-z0-9_.+/-]*/[A-Za-z0-9_.+/-]+", text):  # with a slash it is no number and no null
        return text
    escaped = re.sub(r'(\\*)("|$)', lambda found: f"{found[1] * 2}{chr(92) * bool(found[2])}{found[2]}", text)
    return f'"{escaped}"'

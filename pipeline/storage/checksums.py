"""Read the SHA-256 that a list SHA256SUMS gives for base weights. Standard library only.

The lists have the format of `sha256sum`, so that `sha256sum -c SHA256SUMS` checks them too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

CHECKSUMS_FILE: Final = "SHA256SUMS"
OFFICIAL_CHECKSUMS: Final = Path("conf/model") / CHECKSUMS_FILE
"""Lists official weights by name, wherever they are found."""
_LINE: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")
"""As `sha256sum` reads it: digits in either case, and `./` as `find` writes it."""


def read_listed_sha256(weights: str, path: Path | None = None) -> str | None:
    """Return the SHA-256 that a list gives for base weights; None where no list names them.

    Args:
        weights: `model.weights`: a file name alone may be that of official weights.
        path: The file, where there is one: a list beside it may name it.
    """
    listed = _read_list(path.parent / CHECKSUMS_FILE).get(path.name) if path else None
    is_name = Path(weights).name == weights
    return listed or (_read_list(OFFICIAL_CHECKSUMS).get(weights) if is_name else None)


def check_sha256(
    found: str, *, what: str, stated: str | None, listed: str | None, key: str | None = "model.sha256"
) -> None:
    """Check the SHA-256 of base weights against what the user states, else against a list.

    Args:
        found: The SHA-256 of the file.
        what: The file, for the message.
        stated: The value of `key`, or None.
        listed: See `read_listed_sha256`.
        key: The key of the configuration that states it; None if there is none.

    Raises:
        UserError: It is another one.
    """
    if stated is not None and found != stated:
        raise UserError(
            f"{what} has SHA-256 {found}, not {key}={stated}: "
            f"another file, or a damaged one; {key}=null accepts it"
        )
    if stated is None and listed not in {None, found}:
        accepts = f"; {key}={found} accepts it" if key else ""
        raise UserError(
            f"{what} has SHA-256 {found}, and {CHECKSUMS_FILE} lists {listed}: it is damaged or another; "
            f"restore it, or give it another name if it is your own{accepts}"
        )


def _read_list(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = filter(None, map(_LINE.fullmatch, lines))
    return {match[2]: match[1].lower() for match in found}

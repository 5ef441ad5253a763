"""Choose fonts for class names: an installed font that has the letters, or escapes and one warning.

DejaVu Sans, which comes with matplotlib, has Latin, Greek, Cyrillic and Arabic letters, but none of Chinese,
Japanese or Korean. No font is part of this project.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from PIL import ImageFont

LOG = logging.getLogger(__name__)
DEFAULT_FAMILY: Final = "DejaVu Sans"
PREFERRED_FAMILIES: Final = (
    "noto sans",
    "source han",
    "wenquanyi",
    "microsoft",
    "pingfang",
    "gothic",
    "sans",
)
"""Parts of the names of fonts that are readable at small sizes, the best first."""
_NO_LETTERS: Final = ("lastresort", "last resort", "adobe blank")
"""Parts of the names of fonts whose glyphs are boxes."""
_MAX_COLUMNS: Final = 26
_WARNED: Final[list[str]] = []
"""The letters that a warning of this process has named."""
_MAX_FONTS: Final = 64
"""Loaded fonts that are kept: one per file and size."""


def choose_families(texts: Iterable[str]) -> list[str]:
    """Return the font families that matplotlib needs to draw texts, DejaVu Sans first.

    Letters that no installed font has are not covered: draw `replace_missing_letters` of the texts.
    """
    letters = _select_visible(texts)
    return [DEFAULT_FAMILY, *(family for family, _ in _choose_fallbacks(letters))]


def replace_missing_letters(texts: Sequence[str]) -> list[str]:
    r"""Replace letters that no installed font has by escapes such as `\u6a58`; warn of them once."""
    letters = _select_visible(texts)
    covered = {letter for _, path in _choose_fallbacks(letters) for letter in _select_covered(path, letters)}
    missing = {letter for letter in letters if letter not in covered}
    if missing:
        _warn_of_missing_letters("".join(sorted(missing)))
    return ["".join(_escape(letter) if letter in missing else letter for letter in text) for text in texts]


def load_picture_font(text: str, size: int) -> Any:
    """Return a PIL font that has the letters of a text; the one with most of them if none has all."""
    if all(letter.isascii() or letter == "…" for letter in text):
        return _load_default_font(size)
    path = _find_font_file(_select_visible([text], covered_by_default=False))
    return _load_font_file(path, size)


def shorten_names(names: Sequence[str], columns: int = _MAX_COLUMNS) -> list[str]:
    """Shorten long names in the middle; names that are then equal get their number."""
    short = [_shorten_name(name, columns) for name in names]
    counts = Counter(short)
    return [
        text if counts[text] == 1 else f"{_shorten_name(name, columns - 5)} #{number}"
        for number, (name, text) in enumerate(zip(names, short, strict=True))
    ]


def count_columns(text: str) -> int:
    """Count the columns that a text takes: Chinese characters take two."""
    return sum(
        2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter)
        for letter in text
    )


def _shorten_name(name: str, columns: int) -> str:
    if count_columns(name) <= columns:
        return name
    head, tail = len(name), 0
    while count_columns(name[:head]) > (columns - 1) * 0.6:
        head -= 1
    while count_columns(name[len(name) - tail - 1 :]) <= columns - 1 - count_columns(name[:head]):
        tail += 1
    return f"{name[:head].rstrip()}…{name[len(name) - tail :].lstrip()}"


def _select_visible(texts: Iterable[str], *, covered_by_default: bool = True) -> frozenset[str]:
    """Return the letters that need a glyph; those of DejaVu Sans are left out."""
    letters = {letter for text in texts for letter in text if letter.isprintable() and not letter.isspace()}
    letters = {letter for letter in letters if not letter.isascii()}
    known = _select_covered(_default_path(), frozenset(letters)) if covered_by_default else set()
    return frozenset(letters - known)


@lru_cache(maxsize=_MAX_FONTS)
def _load_default_font(size: int) -> Any:
    """Load PIL's own font, which has ASCII letters only."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=_MAX_FONTS)
def _load_font_file(path: str, size: int) -> Any:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=64)
def _choose_fallbacks(letters: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Choose installed fonts (family, path) that have the letters together, each with most of the rest."""
    chosen: list[tuple[str, str]] = []
    left = set(letters)
    while left:
        fonts = [(family, path) for family, path in _list_fonts() if _select_covered(path, letters) & left]
        if not fonts:
            break
        best = max(
            fonts, key=lambda font: (len(_select_covered(font[1], letters) & left), -_rank_family(font[0]))
        )
        chosen.append(best)
        left -= _select_covered(best[1], letters)
    return tuple(chosen)


def _find_font_file(letters: frozenset[str]) -> str:
    """Return the font that has most of the letters; DejaVu Sans if none has more."""
    paths = [_default_path(), *(path for _, path in _choose_fallbacks(letters))]
    return max(paths, key=lambda path: len(_select_covered(path, letters)))


@lru_cache(maxsize=1)
def _list_fonts() -> tuple[tuple[str, str], ...]:
    """List family and path of the installed fonts; matplotlib's stored list may lack the newest."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in sorted({*font_manager.findSystemFonts()} - known):
        try:
            manager.addfont(path)
        except Exception as error:  # a font in a format that matplotlib cannot read, such as color emoji
            LOG.debug("%s cannot be used: %s", path, error)
    found = {
        (entry.name, entry.fname)
        for entry in manager.ttflist
        if entry.style == "normal"
        and entry.weight in {400, "normal", "regular"}
        and Path(entry.fname).exists()
    }
    return tuple(sorted(row for row in found if not any(part in row[0].lower() for part in _NO_LETTERS)))


def _rank_family(family: str) -> int:
    name = family.lower()
    places = (place for place, part in enumerate(PREFERRED_FAMILIES) if part in name)
    return next(places, len(PREFERRED_FAMILIES))


def _default_path() -> str:
    import matplotlib as mpl

    return str(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf"))


@lru_cache(maxsize=4096)
def _select_covered(path: str, letters: frozenset[str]) -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        covered = frozenset(letter for letter in letters if font.get_char_index(ord(letter)))
        for letter in sorted(covered)[:1]:
            font.set_size(10, 72)
            font.load_char(ord(letter))  # an error for pictures instead of outlines, as in fonts of emoji
    except Exception as error:  # FreeType's errors are RuntimeErrors of many kinds: such a font is not used
        LOG.debug("%s cannot be used: %s", path, error)
        return frozenset()
    return covered


def _warn_of_missing_letters(letters: str) -> None:
    """Warn once of a process: each picture has names, and paths of images can have more letters."""
    if not _WARNED:
        _WARNED.append(letters)
        LOG.warning(
            "no installed font has the letters %s of the class names: pictures show their codes; install a "
            "font that has them, such as Noto Sans CJK",
            letters[:20],
        )


def _escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()

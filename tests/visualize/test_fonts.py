"""Fonts for class names: a drawn font stands for an installed one with Chinese letters."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

from pipeline.dataset.labels import ImageLabels
from pipeline.visualize import fonts
from pipeline.visualize.fonts import (
    DEFAULT_FAMILY,
    choose_families,
    load_picture_font,
    replace_missing_letters,
    shorten_names,
)
from pipeline.visualize.label_overlay import draw_label_overlay
from pipeline.visualize.plots import plot_confusion_matrix

NAMES = ["\u6a58", "\u5b50", "caf\u00e9"]


def write_font(path, letters: str, family: str) -> None:
    """Write a font with a square for each letter."""
    pen = TTGlyphPen(None)
    for number, point in enumerate([(0, 0), (0, 800), (800, 800), (800, 0)]):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    names = [".notdef", *(f"u{ord(letter):x}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):x}" for letter in letters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800)
    builder.setupPost()
    builder.save(path)


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    """Start without fonts but DejaVu Sans, and without earlier warnings."""
    monkeypatch.setattr(fonts, "_list_fonts", tuple)
    monkeypatch.setattr(fonts, "_WARNED", [])
    fonts._choose_fallbacks.cache_clear()
    yield
    fonts._choose_fallbacks.cache_clear()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install fonts of which one has both Chinese letters, and one a single one."""
    rows = []
    for family, letters in (("A Small One", "\u6a58"), ("Test Sans CJK", "\u6a58\u5b50"), ("Z Latin", "abc")):
        path = tmp_path / f"{family}.ttf"
        write_font(path, letters, family)
        rows.append((family, str(path)))
        font_manager.fontManager.addfont(path)
    monkeypatch.setattr(fonts, "_list_fonts", lambda: tuple(rows))
    yield rows
    added = {path for _, path in rows}
    font_manager.fontManager.ttflist = [
        entry for entry in font_manager.fontManager.ttflist if entry.fname not in added
    ]


def plot(folder, names=NAMES) -> np.ndarray:
    matrix = np.eye(len(names), dtype=np.int64)
    plot_confusion_matrix(matrix, names, folder / "c.png", title="Confusion", background=False)
    return np.asarray(Image.open(folder / "c.png").convert("L"))


def test_an_installed_font_with_all_letters_is_chosen(installed, tmp_path, caplog):
    assert choose_families(NAMES) == [DEFAULT_FAMILY, "Test Sans CJK"]
    assert replace_missing_letters(NAMES) == NAMES
    assert load_picture_font("".join(NAMES[:2]), 12).path == installed[1][1]
    plot(tmp_path)  # a warning of matplotlib would be an error
    assert caplog.records == []


def test_letters_of_no_font_are_escaped_with_one_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert choose_families(NAMES) == [DEFAULT_FAMILY]
        assert replace_missing_letters(NAMES) == [r"\u6a58", r"\u5b50", "caf\u00e9"]
        plot(tmp_path)
        image = np.zeros((64, 64, 3), np.uint8)
        labels = ImageLabels(np.array([1]), np.array([[0.5, 0.5, 0.4, 0.4]]))
        drawn = draw_label_overlay(image, labels, NAMES)
    assert drawn.any()
    assert len(caplog.records) == 1
    assert "\u5b50\u6a58" in caplog.records[0].getMessage()


def test_letters_beyond_ascii_are_drawn_by_pictures_too():
    assert load_picture_font("plain", 12) is load_picture_font("other", 12)
    assert load_picture_font("caf\u00e9 \u0446", 12).path.endswith("DejaVuSans.ttf")


@pytest.mark.parametrize(
    "names", [["$x$", "_y", "$\\frac"], ["a" * 300, "a" * 299 + "b"], ["\u6a58" * 80, "b"]]
)
def test_unusual_names_are_plotted_as_they_are(tmp_path, names):
    height, width = plot(tmp_path, names).shape
    assert width < 900
    assert height < 900


def test_long_names_are_shortened_in_the_middle_and_stay_distinct():
    names = ["short", *(f"{'very ' * 10}long {n} {'name ' * 10}" for n in range(12)), "\u6a58" * 30]
    short = shorten_names(names, 20)
    assert short[0] == "short"
    assert len(set(short)) == len(names)
    assert max(map(fonts.count_columns, short)) <= 20
    assert all(text.startswith("very") and "\u2026" in text for text in short[1:13])


def test_single_class_leaves_room_for_the_title(tmp_path):
    dark = plot(tmp_path, ["pit"]) < 128
    title = "Confusion on the test split, threshold 0.482, IoU 0.5 of upright boxes"
    plot_confusion_matrix(np.array([[7]]), ["pit"], tmp_path / "c.png", title=title, background=False)
    wrapped = np.asarray(Image.open(tmp_path / "c.png").convert("L")) < 128
    assert wrapped.shape[0] > dark.shape[0]
    assert not wrapped[:, -5:].any()

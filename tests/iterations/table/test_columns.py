"""Columns with cells of several lines."""

import pytest
from rich.cells import cell_len

from pipeline.iterations.table.columns import format_wrapped_columns, share_width, wrap_cell


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("short", 5, ["short"]),
        ("one two three", 7, ["one two", "three"]),
        ("full-foundation-lr1e-3-3f2a1c", 16, ["full-foundation-", "lr1e-3-3f2a1c"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("傷の検出", 4, ["傷の", "検出"]),
        ("a  b", 1, ["a", "b"]),
    ],
)
def test_a_long_cell_continues_after_blanks_and_hyphens(text, width, lines):
    assert wrap_cell(text, width) == lines
    assert all(cell_len(line) <= width for line in lines)


def test_short_cells_of_a_row_stay_on_its_first_line():
    assert format_wrapped_columns([["a b", "1"], ["c", "2"]], [1, 3]) == ["a  1", "b", "c  2"]


@pytest.mark.parametrize(
    ("wanted", "available", "widths"),
    [((10, 5), 40, (10, 5)), ((30, 30), 40, (20, 20)), ((30, 5), 30, (25, 5)), ((5, 90), 40, (5, 35))],
)
def test_the_first_column_gets_at_least_half_where_it_needs_it(wanted, available, widths):
    assert share_width(wanted, available) == widths

"""Keep tables of model output apart from tables of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.csv.columns import normalize_header
from pipeline.source.formats.csv.tables import CsvTable, get_cell
from pipeline.source.plausibility.predictions import (
    PREDICTIONS_ADVICE,
    SCORE_KEYS,
    are_certain,
    have_scores,
    is_named_like_predictions,
    repeat_images,
)
from pipeline.source.reading.file_tree import format_relative_path

_SCORE_HEADERS: Final = frozenset(map(normalize_header, SCORE_KEYS))
_SURE_WORDS: Final = ("conf", "prob", "likelihood", "certainty")
"""Beginnings of names that are used for nothing but how sure a model is, so that percent is meant, too."""
_MAX_PERCENT: Final = 100


def drop_predictions(
    tables: Sequence[CsvTable], folder: Path, policy: str
) -> tuple[list[CsvTable], list[str]]:
    """Leave out tables and rows with a score, and tables named like predictions that repeat the images.

    Args:
        tables: All tables of the source.
        folder: The source folder.
        policy: As in data.predictions: ignore, labels.

    Returns:
        The tables of labels, and remarks.

    Raises:
        UserError: All tables are model output.
    """
    scores = {table.path: _read_scores(table) for table in tables}
    predicted = [table for table in tables if _is_predicted(table, tables, scores)]
    listed = ", ".join(format_relative_path(table.path, folder) for table in predicted)
    if policy == "labels":
        return list(tables), [f"model output is read as labels: {listed}"] if predicted else []
    if predicted and len(predicted) == len(tables):
        raise UserError(
            f"every row of {predicted[0].path} has a score: that is model output, not labels; add "
            "the labels, or set data.predictions=labels to train on it"
        )
    remarks = [f"model output, not labels: {listed}: left aside ({PREDICTIONS_ADVICE})"] if predicted else []
    kept = []
    for table in (table for table in tables if table not in predicted):
        labels, remark = _drop_scored_rows(table, scores[table.path])
        kept.append(labels)
        remarks += remark
    return kept, remarks


def _read_scores(table: CsvTable) -> list[float | None]:
    """Return the score in each row; nothing if the table has no such column."""
    name = next((name for name in table.columns.others if normalize_header(name) in _SCORE_HEADERS), None)
    if name is None:
        return []
    cells = [get_cell(row, table.columns.others[name]) for _, row in table.rows]
    if normalize_header(name).startswith(_SURE_WORDS):
        cells = _mark_percent(cells)
    values = [_parse_score(cell) for cell in cells]
    is_other_number = any(cell and value is None for cell, value in zip(cells, values, strict=True))
    return [] if is_other_number else values


def _mark_percent(cells: list[str]) -> list[str]:
    """Add a percent sign to confidences between 0 and 100 without one; other cells stay."""
    try:
        highest = max((float(cell) for cell in cells if cell), default=0.0)
    except ValueError:
        return cells
    return [cell and f"{cell}%" for cell in cells] if 1 < highest <= _MAX_PERCENT else cells


def _parse_score(cell: str) -> float | None:
    """Parse a score, 0 to 1 or in percent."""
    try:
        value = float(cell.removesuffix("%").replace(",", "."))
    except ValueError:
        return None
    in_percent = cell.endswith("%") and 0 <= value <= _MAX_PERCENT
    return value / _MAX_PERCENT if in_percent else value if 0 <= value <= 1 else None


def _is_predicted(
    table: CsvTable, tables: Sequence[CsvTable], scores: dict[Path, list[float | None]]
) -> bool:
    """Check for a score in every row, or for a telling name of a table that repeats the images of another."""
    found = scores[table.path]
    scored = have_scores(found)
    others = [other for other in tables if not have_scores(scores[other.path]) and other is not table]
    truth = {
        name for other in others if not is_named_like_predictions(other.path.stem) for name in _names(other)
    }
    if scored and not are_certain(found):
        return True
    return (scored or is_named_like_predictions(table.path.stem)) and repeat_images(_names(table), truth)


def _names(table: CsvTable) -> set[str]:
    return {get_cell(row, table.columns.image) for _, row in table.rows}


def _drop_scored_rows(table: CsvTable, scores: list[float | None]) -> tuple[CsvTable, list[str]]:
    found = [score for score in scores if score is not None]
    if not found or are_certain(found):
        return table, []
    rows = [row for row, score in zip(table.rows, scores, strict=True) if score is None]
    number = f"{len(found)} of {format_count(len(scores), 'row')}"
    remark = f"{table.path.name}: {number} have a score: model output, left out ({PREDICTIONS_ADVICE})"
    return table._replace(rows=rows), [remark]

"""Plots with matplotlib: curves and matrices as PNG files, without a display or pyplot's global state."""

from __future__ import annotations

import csv
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.metric_names import MAP50, MAP50_95, TOP1, TOP5, VAL_GROUP
from pipeline.visualize.fonts import (
    DEFAULT_FAMILY,
    choose_families,
    count_columns,
    replace_missing_letters,
    shorten_names,
)

LINE_COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#4D4D4D")
"""Okabe and Ito's palette for the color-blind; its yellow is too pale for a line on white."""

LINE_STYLES: Final = ("-", "--", "-.", ":")
"""Differ so that lines on top of each other are all visible, such as equal learning rates."""
TEXT_COLOR: Final = "#222222"
_INCHES_PER_COLUMN: Final = 0.085
"""Mean width of a letter of 10 points."""
_MIN_MATRIX_INCHES: Final = 2.4
_MAX_MATRIX_INCHES: Final = 13.0
FAINT_COLOR: Final = "#B8B8B8"

PLOT_STYLE: Final[Any] = {
    "font.family": DEFAULT_FAMILY,
    "font.size": 10,
    "text.color": TEXT_COLOR,
    "axes.labelcolor": TEXT_COLOR,
    "axes.edgecolor": "#888888",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True},
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    **{"xtick.color": "#555555", "ytick.color": "#555555"},
    **{"legend.frameon": False, "legend.fontsize": 9},
    "lines.linewidth": 1.8,
    **{"figure.constrained_layout.w_pad": 0.12, "figure.constrained_layout.h_pad": 0.12},
}


@dataclass(frozen=True)
class ClassCurves:
    """One line per class and their mean, over a common x.

    Args:
        x: (n,) the x values.
        classes: Class name -> (n,); many classes are drawn in a faint color without names.
        mean: (n,) the average over the classes.
        notes: Class name -> the text beside the name in the legend.
        mean_note: The same of the average.
    """

    x: FloatArray
    classes: Mapping[str, FloatArray]
    mean: FloatArray
    notes: Mapping[str, str]
    mean_note: str = ""


def plot_precision_recall(curves: ClassCurves, target: Path, *, at: str = "") -> None:
    """Plot precision over recall.

    Args:
        curves: The curves; their notes are the average precisions.
        target: The PNG to write.
        at: When a detection is correct, such as `IoU 0.5`; part of the title.
    """
    with mpl.rc_context(_choose_style(curves.classes)):
        figure, axes = _create_unit_axes(_join_title("Precision and recall on the test split", at))
        axes.set(xlabel="Recall", ylabel="Precision")
        _draw_curves(axes, curves)
        _save_figure(figure, target)


def plot_f1_confidence(curves: ClassCurves, target: Path, *, threshold: float | None, at: str = "") -> None:
    """Plot F1 over the confidence threshold, and mark the chosen threshold.

    Args:
        curves: The curves.
        target: The PNG to write.
        threshold: The chosen one; None where none was chosen.
        at: When a detection is correct, such as `IoU 0.5`; part of the title.
    """
    with mpl.rc_context(_choose_style(curves.classes)):
        figure, axes = _create_unit_axes(_join_title("F1 and confidence on the test split", at))
        axes.set(xlabel="Confidence threshold", ylabel="F1")
        if threshold is not None:
            dashes = (0, (4, 3))
            label = f"threshold  {threshold:.3f}"
            axes.axvline(threshold, color=TEXT_COLOR, linewidth=1, linestyle=dashes, label=label)
        _draw_curves(axes, curves)
        _save_figure(figure, target)


def plot_confusion_matrix(
    matrix: IntArray, names: Sequence[str], target: Path, *, title: str, background: bool = True
) -> None:
    """Plot a confusion matrix, colored by the share of a class's objects, with counts in the cells.

    A false positive (last row) is shown as a share of the objects of its predicted class.

    Args:
        matrix: (n, n) counts, actual by row.
        names: The n names; the background last, if there is one.
        target: The PNG to write.
        title: The title above the matrix.
        background: Whether the last row and column are the background.
    """
    count, labels = len(names), _format_labels(names)
    objects = matrix.sum(axis=1)
    shares = matrix / np.maximum(objects, 1)[:, None]
    if background:
        shares[-1] = np.minimum(matrix[-1] / np.maximum(objects, 1), 1)
    size = 10 if count <= 20 else 7
    with mpl.rc_context({**_choose_style(names), "axes.grid": False, "font.size": size}):
        figure = _create_matrix_figure(labels, title, size)
        axes = figure.add_subplot()
        drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="Predicted", ylabel="Actual")
        axes.set_xticks(range(count), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(count), labels)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for line in (axes.axhline, axes.axvline) if background else ():
            line(count - 1.5, color="white", linewidth=3)
        _write_cell_counts(axes, matrix, shares)
        bar = figure.colorbar(drawn, ax=axes, label="Share of the objects", shrink=0.75, aspect=25)
        bar.outline.set_visible(False)
        _save_figure(figure, target)


def plot_training_curves(epochs_csv: Path, target: Path) -> None:
    """Plot the columns of a training's epochs: each loss on train and val, mAP or accuracy, learning rates.

    Args:
        epochs_csv: A row per epoch: epoch, train/..., val/..., metrics/..., lr/...
        target: The PNG to write.
    """
    columns = _read_columns(epochs_csv)
    panels = _group_columns(columns)
    wide = min(3, len(panels))
    tall = math.ceil(len(panels) / wide)
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(4.2 * wide, 3.1 * tall), layout="constrained")
        for number, (title, lines) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(tall, wide, number)
            axes.set_title(title)
            axes.set_xlim(columns["epoch"][0] - 0.5, columns["epoch"][-1] + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            for index, (label, column) in enumerate(lines.items()):
                known = ~np.isnan(columns[column])  # not every epoch is validated
                points = (np.array(columns[name])[known] for name in ("epoch", column))
                (line,) = axes.plot(*points, label=label, color=LINE_COLORS[index % 8])
                line.set(linestyle=LINE_STYLES[index % 4], marker="o" if known.sum() < 3 else "")
            axes.legend()
            if number > len(panels) - wide:
                axes.set_xlabel("Epoch")
        _save_figure(figure, target)


def _choose_style(names: Iterable[str]) -> Any:  # matplotlib's stubs know the keys alone as literals
    """Return the style with fonts for class names."""
    return {**PLOT_STYLE, "font.family": choose_families(names)}


def _format_labels(names: Sequence[str]) -> list[str]:
    """Return class names as labels: not too long, and each letter drawn as it is.

    matplotlib reads text between dollar signs as a formula, and leaves labels that start with _ out.
    """
    plain = [name.replace("$", r"\$") for name in shorten_names(replace_missing_letters(names))]
    return [f" {name}" if name.startswith("_") else name for name in plain]


def _create_matrix_figure(labels: Sequence[str], title: str, font_size: int) -> Figure:
    """Create a figure with room for the cells, the labels beside and below, and the lines of the title."""
    longest = max(map(count_columns, labels)) * font_size / 10 * _INCHES_PER_COLUMN
    cells = min(max(_MIN_MATRIX_INCHES, 0.62 * len(labels)), _MAX_MATRIX_INCHES - longest)
    width = cells + longest + 1.6
    lines = textwrap.wrap(title, int(width / _INCHES_PER_COLUMN))
    figure = Figure(figsize=(width, cells + 0.7 * longest + 0.8 + 0.2 * len(lines)), layout="constrained")
    figure.suptitle("\n".join(lines), x=0.02, ha="left", fontsize=PLOT_STYLE["axes.titlesize"])
    return figure


def _join_title(text: str, at: str) -> str:
    return f"{text}, {at}" if at else text


def _create_unit_axes(title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(8.6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    tenths = np.linspace(0, 1, 11)
    axes.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xticks=tenths, yticks=tenths)
    return figure, axes


def _draw_curves(axes: Any, curves: ClassCurves) -> None:
    few = len(curves.classes) <= len(LINE_COLORS)
    labels = _format_labels([*curves.classes])
    for index, (name, line) in enumerate(curves.classes.items()):
        label = f"{labels[index]}  {curves.notes.get(name, '')}".rstrip() if few else None
        color = LINE_COLORS[index] if few else FAINT_COLOR
        axes.plot(curves.x, line, label=label, color=color, linewidth=1.6 if few else 0.8)
    if not few:
        axes.plot([], [], color=FAINT_COLOR, linewidth=0.8, label=f"{len(curves.classes)} classes")
    if len(curves.classes) > 1:
        label = f"mean  {curves.mean_note}".rstrip()
        axes.plot(curves.x, curves.mean, label=label, color=TEXT_COLOR, linewidth=2.6)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _write_cell_counts(axes: Any, matrix: IntArray, shares: FloatArray) -> None:
    if len(matrix) > 40:
        return
    for row, column in zip(*np.nonzero(matrix), strict=True):
        color = "white" if shares[row, column] > 0.55 else TEXT_COLOR
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=color)


def _read_columns(path: Path) -> dict[str, list[float]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    names = rows[0] if rows else {}
    return {name.strip(): [float(row[name] or "nan") for row in rows] for name in names}


def _group_columns(columns: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Group columns by panel: title -> {legend entry: column}."""
    panels: dict[str, dict[str, str]] = {"mAP on val": {}, "accuracy on val": {}}
    for column in columns:
        group, _, name = column.partition("/")
        if group in {"train", "val"}:
            panels.setdefault(name.replace("_", " "), {})[group] = column
        elif group == VAL_GROUP and name.endswith((MAP50_95, MAP50)):
            panels["mAP on val"][name] = column
        elif group == VAL_GROUP and name in {TOP1, TOP5}:
            panels["accuracy on val"][name] = column
        elif group == "lr":
            panels.setdefault("learning rate", {})[name] = column
    return {title: lines for title, lines in panels.items() if lines}


def _save_figure(figure: Figure, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130, metadata={"Software": None})  # the same input gives the same bytes

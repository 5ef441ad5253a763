"""Plot and tabulate val mAP over the seconds of a training, for finished trainings."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cells import PLAIN, ROOT, Cell

sys.path.insert(0, str(ROOT))
from pipeline.visualize.plots import LINE_COLORS, PLOT_STYLE

STRATEGIES = ("full", "head", "gradual")


class Curve(NamedTuple):
    """Seconds since the start of a training, and the val mAP50-95 of the epoch that ended then."""

    seconds: list[float]
    accuracy: list[float]

    @property
    def best(self) -> float:
        """Return the highest mAP of all epochs."""
        return max(self.accuracy)

    def reaches(self, accuracy: float) -> float | None:
        """Return the seconds after which the mAP first reached a value, or None."""
        pairs = zip(self.seconds, self.accuracy, strict=True)
        return next((seconds for seconds, found in pairs if found >= accuracy), None)


Group = dict[str, Curve]
"""Of one data set and base, by method."""


def group_curves(curves: Mapping[Cell, Curve], *, seed: int = 0) -> dict[tuple[str, str], Group]:
    """Group the curves of one seed by data set and base, where `yolo train` has one."""
    found: dict[tuple[str, str], Group] = {}
    for cell, curve in curves.items():
        if cell.seed == seed and cell.method in (PLAIN, *STRATEGIES):
            found.setdefault((cell.data, cell.base), {})[cell.method] = curve
    return {pair: group for pair, group in found.items() if PLAIN in group}


def read_training(folder: Path) -> Curve:
    """Read the curve of the training in a folder, by `yolo train` or by this pipeline."""
    plain = folder / "yolo/run/results.csv"
    return read_curve(plain if plain.exists() else folder / "reports/training/epochs.csv")


def read_curve(file: Path) -> Curve:
    """Read Ultralytics' results.csv, or the epochs.csv of this pipeline: the epochs that were validated."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(lines)]
    clock = next(name for name in ("seconds", "time") if name in rows[0])
    named = [name for name in rows[0] if name.startswith("metrics/") and "mAP50-95" in name]
    accuracy = next((name for name in named if "(M)" in name or "mask" in name), named[0])
    validated = [row for row in rows if row[accuracy].strip()]  # finetune.val_every leaves epochs out
    return Curve([float(row[clock]) for row in validated], [float(row[accuracy]) for row in validated])


def table(groups: Mapping[tuple[str, str], Group]) -> str:
    """Return a table: when each strategy reaches the best mAP of `yolo train`, and the share of time."""
    shown = [method for method in STRATEGIES if any(method in group for group in groups.values())]
    head = f"| data, base | yolo train's best | after | {' | '.join(shown)} |\n{'|---' * (3 + len(shown))}|"
    return "\n".join([head, *(_row(pair, group, shown) for pair, group in groups.items())])


def _row(pair: tuple[str, str], group: Group, shown: Sequence[str]) -> str:
    plain = group[PLAIN]
    whole = plain.reaches(plain.best) or plain.seconds[-1]
    cells = []
    for method in shown:
        when = group[method].reaches(plain.best) if method in group else None
        missing = f"never ({group[method].best:.3f})" if method in group else ""
        cells.append(f"{when:.0f} s ({when / whole:.2f})" if when else missing)
    return f"| {', '.join(pair)} | {plain.best:.3f} | {whole:.0f} s | {' | '.join(cells)} |"


def plot(groups: Mapping[tuple[str, str], Group], path: Path) -> None:
    """Draw a panel for each data set and base, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**PLOT_STYLE, "svg.hashsalt": "seconds", "svg.fonttype": "none"}):
        rows = (len(groups) + 1) // 2
        figure = Figure(figsize=(9, 3.4 * rows), layout="constrained")
        panels = list(figure.subplots(rows, 2, squeeze=False).flat)
        for panel, (pair, group) in zip(panels, groups.items(), strict=False):
            for colour, method in zip(LINE_COLORS, (PLAIN, *STRATEGIES), strict=False):
                if method in group:
                    dashed = "--" if method == PLAIN else "-"
                    panel.plot(*group[method], label=method, color=colour, linestyle=dashed)
            panel.axhline(group[PLAIN].best, color="#999999", linewidth=0.8, linestyle=":")
            panel.set(title=f"{pair[0]}, from {pair[1]}", xlabel="seconds of training")
            panel.set(ylabel="val mAP50-95", ylim=(0, None), xlim=(0, None))
        for panel in panels[len(groups) :]:
            panel.set_visible(False)
        figure.axes[0].legend(loc="lower right")
        figure.savefig(path, metadata={"Date": None})

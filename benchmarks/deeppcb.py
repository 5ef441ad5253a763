"""Write DeepPCB, whose labels are lines of `x1 y1 x2 y2 type`, as a YOLO data set."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

NAMES: Final = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""Of the types 1 to 6."""
SIDE: Final = 640
"""Pixels of every image."""


def convert_deeppcb(source: Path, target: Path) -> Path:
    """Write the tested images (not the templates) and their boxes; return the target.

    Args:
        source: A folder with PCBData.
        target: The folder to write; one that exists is complete.
    """
    if target.exists():
        return target
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for part in ("images", "labels"):
        (temporary / part).mkdir(parents=True)
    for labels in sorted((source / "PCBData").glob("group*/*_not/*.txt")):
        image = labels.parent.with_name(labels.parent.name.removesuffix("_not")) / f"{labels.stem}_test.jpg"
        shutil.copyfile(image, temporary / "images" / f"{labels.stem}.jpg")
        lines = map(_convert_line, labels.read_text("utf-8").splitlines())
        (temporary / "labels" / labels.name).write_text("".join(lines), "utf-8")
    (temporary / "classes.txt").write_text("\n".join(NAMES) + "\n", "utf-8")
    temporary.rename(target)
    return target


def _convert_line(line: str) -> str:
    left, top, right, bottom, kind = map(int, line.replace(",", " ").split())
    box = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return f"{kind - 1} {' '.join(f'{value / SIDE:.6f}' for value in box)}\n"

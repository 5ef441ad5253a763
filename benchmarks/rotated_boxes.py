"""Compare two ways to rotate an upright box whose outline is not known.

    python benchmarks/rotated_boxes.py [FOLDER of YOLO polygon labels]

Known outlines, of drawn images and of FOLDER, are rotated, and their tight boxes are compared with `corners`
(the hull of the box's corners) and `ellipse` (the hull of the ellipse in it). docs/decisions/augmentation.md
has the figures.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from pipeline.augment.affine import build_affine_matrix, transform_box_hulls, transform_boxes
from pipeline.augment.parameters import AugmentationParameters
from pipeline.source.synthetic.picture import DrawnImage
from pipeline.source.synthetic.shapes import draw_shapes_image
from pipeline.source.synthetic.steel import draw_steel_image

Points = NDArray[np.float64]
SIDE = 256


def drawn(draw: Callable[..., DrawnImage], count: int) -> list[Points]:
    """Return the outlines of the objects in `count` drawn images."""
    pictures = (draw(index, seed=0, pixels=SIDE) for index in range(count))
    return [np.asarray(outline, np.float64) for picture in pictures for outline in picture.polygons]


def read(folder: Path) -> list[Points]:
    """Return the outlines of all YOLO polygon labels in a folder; images are taken as square."""
    lines = (
        line.split()[1:] for path in sorted(folder.rglob("*.txt")) for line in path.read_text().splitlines()
    )
    return [
        np.array(line, np.float64).reshape(-1, 2) * SIDE
        for line in lines
        if len(line) >= 6 and not len(line) % 2
    ]


def agreement(outlines: list[Points], degrees: float) -> dict[str, NDArray[np.float64]]:
    """Return the IoU of both boxes with the true one, for each outline at a random angle."""
    angles = np.random.default_rng(0).uniform(-degrees, degrees, len(outlines))
    found: dict[str, list[float]] = {"corners": [], "ellipse": []}
    for outline, angle in zip(outlines, angles.tolist(), strict=True):
        turn = build_affine_matrix(AugmentationParameters(rotate=angle), SIDE, SIDE)
        truth = around(outline @ turn[:2, :2].T + turn[:2, 2])
        found["corners"].append(overlap(truth, transform_box_hulls(around(outline), turn)))
        found["ellipse"].append(overlap(truth, transform_boxes(around(outline), turn)))
    return {name: np.array(values) for name, values in found.items()}


def around(points: Points) -> Points:
    """Return the tight upright box (1, 4) around points (n, 2)."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)])[None]


def overlap(one: Points, other: Points) -> float:
    """Return the IoU of two boxes (1, 4)."""
    sides = np.minimum(one[0, 2:], other[0, 2:]) - np.maximum(one[0, :2], other[0, :2])
    common = math.prod(np.maximum(sides, 0).tolist())
    areas = [math.prod((box[0, 2:] - box[0, :2]).tolist()) for box in (one, other)]
    return common / (sum(areas) - common)


def main() -> None:
    """Print a Markdown table: mean IoU, and share of objects below 0.75."""
    sets = {"drawn shapes": drawn(draw_shapes_image, 200), "drawn steel": drawn(draw_steel_image, 300)}
    if len(sys.argv) > 1:
        sets[Path(sys.argv[1]).name] = read(Path(sys.argv[1]))
    print("| outlines | rotation | corners: IoU, share under 0.75 | ellipse: IoU, share under 0.75 |")
    print("|---|---|---|---|")
    for name, outlines in sets.items():
        for degrees in (10, 45):
            found = agreement([outline for outline in outlines if len(outline) > 2], degrees)
            cells = [f"{values.mean():.3f}, {(values < 0.75).mean():.3f}" for values in found.values()]
            print(f"| {name} ({len(outlines)})", f"+/-{degrees}°", *cells, sep=" | ", end=" |\n")


if __name__ == "__main__":
    main()

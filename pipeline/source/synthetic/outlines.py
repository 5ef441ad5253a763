"""Sample the outlines of the shape classes, in unit coordinates: center 0, radius about 1.

Each sample function returns one random outline of its class. Topology and repetition (holes, points,
teeth, arms) define the class; everything else varies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.picture import to_float32


class ShapeOutline(NamedTuple):
    """An outline as filled closed curves, or as strokes of one width.

    Attributes:
        solids: Closed curves that are filled.
        holes: Closed curves that are cut out of the solids.
        strokes: Open curves, drawn with `width`.
        width: Width of the strokes, as a fraction of the radius.
        inner: Closed curves that are painted on top in two alternating colors.
    """

    solids: tuple[Float32Array, ...] = ()
    holes: tuple[Float32Array, ...] = ()
    strokes: tuple[Float32Array, ...] = ()
    width: float = 0.0
    inner: tuple[Float32Array, ...] = ()


def polar_to_xy(radii: Float32Array | float, turns: Float32Array) -> Float32Array:
    """Convert radii and angles to points (k, 2); angles are in full turns."""
    angles = turns * np.float32(2 * np.pi)
    return to_float32(np.stack([np.cos(angles) * radii, np.sin(angles) * radii], 1))


def _full_turn(points: int) -> Float32Array:
    return to_float32(np.arange(points, dtype=np.float32) / points)


def build_circle(radius: float = 1.0, x: float = 0.0, y: float = 0.0) -> Float32Array:
    """Return a circle as 40 points (40, 2)."""
    return polar_to_xy(radius, _full_turn(40)) + to_float32([x, y])


def build_rectangle(x1: float, y1: float, x2: float, y2: float) -> Float32Array:
    """Return a rectangle as four points (4, 2)."""
    return to_float32([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def sample_wobbly_circle(rng: Generator, strength: float) -> Float32Array:
    """Sample a smooth closed curve (48, 2): a circle plus a few random harmonics."""
    turns, radii = _full_turn(48), np.ones(48, np.float32)
    for order in range(2, 7):
        swing = np.float32(rng.normal(0, strength / order))
        radii += swing * np.cos(2 * np.pi * (order * turns + rng.random())).astype(np.float32)
    radii = np.clip(radii, 0.3, 1.7)
    return polar_to_xy(radii / radii.max(), turns)


def sample_disc(_: Generator) -> ShapeOutline:
    """Return a filled circle."""
    return ShapeOutline((build_circle(),))


def sample_ring(rng: Generator) -> ShapeOutline:
    """Sample a circle with a round hole."""
    return ShapeOutline((build_circle(),), (build_circle(rng.uniform(0.4, 0.8)),))


def sample_ellipse(rng: Generator) -> ShapeOutline:
    """Sample a clearly flattened circle."""
    return ShapeOutline((build_circle() * to_float32([1, rng.uniform(0.35, 0.68)]),))


def sample_blob(rng: Generator) -> ShapeOutline:
    """Sample a smooth random closed curve."""
    return ShapeOutline((sample_wobbly_circle(rng, 0.45),))


def sample_cell(rng: Generator) -> ShapeOutline:
    """Sample a roundish body with a nucleus of one to three lobes inside."""
    lobes = int(rng.integers(1, 4))
    inner = []
    for _ in range(lobes):
        size, reach = rng.uniform(0.25, 0.55 if lobes == 1 else 0.4), rng.uniform(0, 0.32)
        inner.append(sample_wobbly_circle(rng, 0.25) * size + polar_to_xy(reach, to_float32([rng.random()])))
    return ShapeOutline((sample_wobbly_circle(rng, 0.15),), inner=tuple(inner))


def sample_bean(rng: Generator) -> ShapeOutline:
    """Sample an oval that is bent around one notch."""
    turns = _full_turn(48)
    bend, thin = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.6)
    points = polar_to_xy(1.0, turns) * to_float32([1, thin])
    points[:, 1] += np.float32(bend) * (points[:, 0] ** 2 - np.float32(0.4))
    return ShapeOutline((points,))


def sample_crescent(rng: Generator) -> ShapeOutline:
    """Sample a crescent: a circle minus a second circle."""
    shift = rng.uniform(0.35, 0.75)
    return ShapeOutline((build_circle(),), (build_circle(rng.uniform(0.75, 0.95), shift),))


def sample_drop(rng: Generator) -> ShapeOutline:
    """Sample a drop: a circle that ends in one point."""
    turns, sharp = _full_turn(48), rng.uniform(1.2, 2.2)
    angles = turns * np.float32(2 * np.pi)
    wide = np.sin(angles) * np.sin(angles / 2) ** sharp * np.float32(rng.uniform(0.6, 0.9))
    return ShapeOutline((np.stack([np.cos(angles), wide], 1).astype(np.float32),))


def sample_triangle(rng: Generator) -> ShapeOutline:
    """Sample a triangle with uneven angles."""
    turns = _full_turn(3) + rng.uniform(-0.06, 0.06, 3).astype(np.float32)
    return ShapeOutline((polar_to_xy(1.0, turns),))


def sample_rectangle(rng: Generator) -> ShapeOutline:
    """Sample a rectangle, from a square to a bar."""
    half = rng.uniform(0.2, 1.0)
    return ShapeOutline((build_rectangle(-1, -half, 1, half),))


def sample_polygon(rng: Generator) -> ShapeOutline:
    """Sample a regular polygon with five to eight corners."""
    return ShapeOutline((polar_to_xy(1.0, _full_turn(int(rng.integers(5, 9)))),))


def sample_star(rng: Generator) -> ShapeOutline:
    """Sample a star with four to eight points."""
    points = int(rng.integers(4, 9))
    radii = np.tile(to_float32([1, rng.uniform(0.3, 0.6)]), points)
    return ShapeOutline((polar_to_xy(radii, _full_turn(2 * points)),))


def sample_cross(rng: Generator) -> ShapeOutline:
    """Sample two crossed bars."""
    half, reach = rng.uniform(0.12, 0.36), rng.uniform(0.65, 1.0)
    return ShapeOutline((build_rectangle(-1, -half, 1, half), build_rectangle(-half, -reach, half, reach)))


def sample_arrow(rng: Generator) -> ShapeOutline:
    """Sample an arrow: a shaft with a head."""
    half, head, neck = rng.uniform(0.08, 0.28), rng.uniform(0.5, 0.8), rng.uniform(-0.1, 0.4)
    tip = to_float32([(neck, -head), (1, 0), (neck, head)])
    return ShapeOutline((build_rectangle(-1, -half, neck + 0.05, half), tip))


def sample_chevron(rng: Generator) -> ShapeOutline:
    """Sample a wide V-shaped stroke."""
    reach, width = rng.uniform(0.35, 0.7), rng.uniform(0.3, 0.5)
    return ShapeOutline(strokes=(to_float32([(-reach, -0.8), (reach, 0), (-reach, 0.8)]),), width=width)


def sample_gear(rng: Generator) -> ShapeOutline:
    """Sample a gear: a toothed wheel with a hole."""
    teeth, depth = int(rng.integers(7, 14)), rng.uniform(0.68, 0.85)
    radii = np.tile(to_float32([1, 1, depth, depth]), teeth)
    return ShapeOutline(
        (polar_to_xy(radii, _full_turn(4 * teeth)),), (build_circle(rng.uniform(0.15, 0.45)),)
    )


def sample_flower(rng: Generator) -> ShapeOutline:
    """Sample round petals around a center of another color."""
    petals, depth = int(rng.integers(4, 9)), rng.uniform(0.18, 0.36)
    turns = _full_turn(72)
    radii = 1 - depth + depth * np.cos(2 * np.pi * petals * turns)
    return ShapeOutline(
        (polar_to_xy(radii.astype(np.float32), turns),), inner=(build_circle(rng.uniform(0.2, 0.35)),)
    )


def sample_wedge(rng: Generator) -> ShapeOutline:
    """Sample a sector of a circle."""
    arc = np.linspace(0, rng.uniform(0.2, 0.78), 30, dtype=np.float32)
    return ShapeOutline((np.concatenate([np.zeros((1, 2), np.float32), polar_to_xy(1.0, arc)]),))


def sample_frame(rng: Generator) -> ShapeOutline:
    """Sample a rectangle with a rectangular hole."""
    half, edge = rng.uniform(0.55, 1.0), rng.uniform(0.14, 0.3)
    return ShapeOutline(
        (build_rectangle(-1, -half, 1, half),),
        (build_rectangle(edge - 1, edge - half, 1 - edge, half - edge),),
    )


def sample_dumbbell(rng: Generator) -> ShapeOutline:
    """Sample two discs that are joined by a bar."""
    left, right, half = rng.uniform(0.25, 0.42), rng.uniform(0.25, 0.42), rng.uniform(0.07, 0.16)
    return ShapeOutline(
        (
            build_circle(left, left - 1),
            build_circle(right, 1 - right),
            build_rectangle(-0.6, -half, 0.6, half),
        )
    )


def sample_cluster(rng: Generator) -> ShapeOutline:
    """Sample a cluster of small discs that touch."""
    spots = int(rng.integers(4, 10))
    places = polar_to_xy(np.sqrt(rng.random(spots)).astype(np.float32) * np.float32(0.66), _full_turn(spots))
    return ShapeOutline(tuple(build_circle(rng.uniform(0.2, 0.36), float(x), float(y)) for x, y in places))


def sample_target(rng: Generator) -> ShapeOutline:
    """Sample concentric rings of alternating colors."""
    rings = int(rng.integers(2, 4))
    return ShapeOutline(
        (build_circle(),), inner=tuple(build_circle(1 - (i + 1) / (rings + 1)) for i in range(rings))
    )


def sample_tube(rng: Generator) -> ShapeOutline:
    """Sample a thick bent tube."""
    along = np.linspace(-1, 1, 32, dtype=np.float32)
    across = rng.uniform(0.1, 0.5) * np.sin(np.pi * (along * rng.uniform(0.5, 1.3) + rng.random()))
    curve = np.stack([along, across - across.mean()], 1).astype(np.float32) * np.float32(0.85)
    return ShapeOutline(strokes=(curve,), width=rng.uniform(0.16, 0.36))


def sample_spiral(rng: Generator) -> ShapeOutline:
    """Sample a spiral of two to three turns."""
    turns = np.linspace(0.3, rng.uniform(2.0, 3.0), 72, dtype=np.float32)
    return ShapeOutline(
        strokes=(polar_to_xy(turns / turns[-1] * np.float32(0.9), turns),), width=rng.uniform(0.09, 0.16)
    )


def sample_lattice(rng: Generator) -> ShapeOutline:
    """Sample bars that cross at right angles."""
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    half = rng.uniform(0.6, 0.95)
    across = [to_float32([(-0.95, y), (0.95, y)]) for y in np.linspace(-half, half, rows)]
    down = [to_float32([(x, -half), (x, half)]) for x in np.linspace(-0.95, 0.95, columns)]
    return ShapeOutline(strokes=(*across, *down), width=rng.uniform(0.07, 0.16))


def sample_glyph(rng: Generator) -> ShapeOutline:
    """Sample an invented letter: a stem with two to four arms."""
    strokes = [to_float32([(-0.5, -0.85), (-0.5, 0.85)])]
    for _ in range(int(rng.integers(2, 5))):
        start, end = rng.uniform(-0.85, 0.85, 2)
        middle = (rng.uniform(0.0, 0.7), (start + end) / 2)
        strokes.append(to_float32([(-0.5, start), middle, (rng.uniform(0.2, 0.7), end)]))
    return ShapeOutline(strokes=tuple(strokes), width=rng.uniform(0.14, 0.3))


def sample_region(rng: Generator) -> ShapeOutline:
    """Sample a region of any shape, for the classes that are defined by texture."""
    shapes: tuple[Callable[[Generator], ShapeOutline], ...] = (
        sample_blob,
        sample_blob,
        sample_rectangle,
        sample_polygon,
        sample_ellipse,
    )
    return shapes[int(rng.integers(len(shapes)))](rng)


OUTLINE_SAMPLERS: Final[dict[str, Callable[[Generator], ShapeOutline]]] = {
    "disc": sample_disc,
    "ring": sample_ring,
    "ellipse": sample_ellipse,
    "blob": sample_blob,
    "cell": sample_cell,
    "bean": sample_bean,
    "crescent": sample_crescent,
    "drop": sample_drop,
    "triangle": sample_triangle,
    "rectangle": sample_rectangle,
    "polygon": sample_polygon,
    "star": sample_star,
    "cross": sample_cross,
    "arrow": sample_arrow,
    "chevron": sample_chevron,
    "gear": sample_gear,
    "flower": sample_flower,
    "wedge": sample_wedge,
    "frame": sample_frame,
    "dumbbell": sample_dumbbell,
    "cluster": sample_cluster,
    "target": sample_target,
    "tube": sample_tube,
    "spiral": sample_spiral,
    "lattice": sample_lattice,
    "glyph": sample_glyph,
}
"""Sampling functions by class name."""

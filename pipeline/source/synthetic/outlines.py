"""The outlines of the drawn classes, in unit coordinates: centre 0, radius about 1.

Each function takes a generator and returns one random member of its class. What makes a class is
its topology and rhythm (holes, points, teeth, arms); everything else about it varies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.picture import floats


class ShapeOutline(NamedTuple):
    """An outline as layers of closed curves, or as strokes of one width.

    Attributes:
        solids: Closed curves, filled one after the other.
        holes: Closed curves cut out of the solids.
        strokes: Open curves, drawn with `width`.
        width: Width of the strokes, as a part of the radius.
        inner: Closed curves painted on top in alternating second colours.
    """

    solids: tuple[Float32Array, ...] = ()
    holes: tuple[Float32Array, ...] = ()
    strokes: tuple[Float32Array, ...] = ()
    width: float = 0.0
    inner: tuple[Float32Array, ...] = ()


def polar(radii: Float32Array | float, turns: Float32Array) -> Float32Array:
    """Return points at these radii and angles, the angles in full turns."""
    angles = turns * np.float32(2 * np.pi)
    return floats(np.stack([np.cos(angles) * radii, np.sin(angles) * radii], 1))


def _turn(points: int) -> Float32Array:
    return floats(np.arange(points, dtype=np.float32) / points)


def circle(radius: float = 1.0, x: float = 0.0, y: float = 0.0) -> Float32Array:
    """Return a circle as 40 points."""
    return polar(radius, _turn(40)) + floats([x, y])


def slab(x1: float, y1: float, x2: float, y2: float) -> Float32Array:
    """Return a rectangle as four points."""
    return floats([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def wobble(rng: Generator, strength: float) -> Float32Array:
    """Return a closed smooth curve without hands: a circle with a few random harmonics."""
    turns, radii = _turn(48), np.ones(48, np.float32)
    for order in range(2, 7):
        swing = np.float32(rng.normal(0, strength / order))
        radii += swing * np.cos(2 * np.pi * (order * turns + rng.random())).astype(np.float32)
    radii = np.clip(radii, 0.3, 1.7)
    return polar(radii / radii.max(), turns)


def disc(_: Generator) -> ShapeOutline:
    """Draw a full circle."""
    return ShapeOutline((circle(),))


def ring(rng: Generator) -> ShapeOutline:
    """Draw a circle with a round hole."""
    return ShapeOutline((circle(),), (circle(rng.uniform(0.4, 0.8)),))


def ellipse(rng: Generator) -> ShapeOutline:
    """Draw a clearly flattened circle."""
    return ShapeOutline((circle() * floats([1, rng.uniform(0.35, 0.68)]),))


def blob(rng: Generator) -> ShapeOutline:
    """Draw a smooth random closed curve."""
    return ShapeOutline((wobble(rng, 0.45),))


def cell(rng: Generator) -> ShapeOutline:
    """Draw a roundish body with one to three lobes of a nucleus inside."""
    lobes = int(rng.integers(1, 4))
    inner = []
    for _ in range(lobes):
        size, reach = rng.uniform(0.25, 0.55 if lobes == 1 else 0.4), rng.uniform(0, 0.32)
        inner.append(wobble(rng, 0.25) * size + polar(reach, floats([rng.random()])))
    return ShapeOutline((wobble(rng, 0.15),), inner=tuple(inner))


def bean(rng: Generator) -> ShapeOutline:
    """Draw an oval bent around one notch."""
    turns = _turn(48)
    bend, thin = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.6)
    points = polar(1.0, turns) * floats([1, thin])
    points[:, 1] += np.float32(bend) * (points[:, 0] ** 2 - np.float32(0.4))
    return ShapeOutline((points,))


def crescent(rng: Generator) -> ShapeOutline:
    """Draw a moon: a circle less a second one."""
    shift = rng.uniform(0.35, 0.75)
    return ShapeOutline((circle(),), (circle(rng.uniform(0.75, 0.95), shift),))


def drop(rng: Generator) -> ShapeOutline:
    """Draw a circle pulled out to one point."""
    turns, sharp = _turn(48), rng.uniform(1.2, 2.2)
    angles = turns * np.float32(2 * np.pi)
    wide = np.sin(angles) * np.sin(angles / 2) ** sharp * np.float32(rng.uniform(0.6, 0.9))
    return ShapeOutline((np.stack([np.cos(angles), wide], 1).astype(np.float32),))


def triangle(rng: Generator) -> ShapeOutline:
    """Draw three corners at uneven angles."""
    turns = _turn(3) + rng.uniform(-0.06, 0.06, 3).astype(np.float32)
    return ShapeOutline((polar(1.0, turns),))


def rectangle(rng: Generator) -> ShapeOutline:
    """Draw a rectangle, from a square to a bar."""
    half = rng.uniform(0.2, 1.0)
    return ShapeOutline((slab(-1, -half, 1, half),))


def polygon(rng: Generator) -> ShapeOutline:
    """Draw a regular polygon of five to eight corners."""
    return ShapeOutline((polar(1.0, _turn(int(rng.integers(5, 9)))),))


def star(rng: Generator) -> ShapeOutline:
    """Draw a star of four to eight points."""
    points = int(rng.integers(4, 9))
    radii = np.tile(floats([1, rng.uniform(0.3, 0.6)]), points)
    return ShapeOutline((polar(radii, _turn(2 * points)),))


def cross(rng: Generator) -> ShapeOutline:
    """Draw two bars across each other."""
    half, reach = rng.uniform(0.12, 0.36), rng.uniform(0.65, 1.0)
    return ShapeOutline((slab(-1, -half, 1, half), slab(-half, -reach, half, reach)))


def arrow(rng: Generator) -> ShapeOutline:
    """Draw a shaft with a head."""
    half, head, neck = rng.uniform(0.08, 0.28), rng.uniform(0.5, 0.8), rng.uniform(-0.1, 0.4)
    tip = floats([(neck, -head), (1, 0), (neck, head)])
    return ShapeOutline((slab(-1, -half, neck + 0.05, half), tip))


def chevron(rng: Generator) -> ShapeOutline:
    """Draw a broad angle."""
    reach, width = rng.uniform(0.35, 0.7), rng.uniform(0.3, 0.5)
    return ShapeOutline(strokes=(floats([(-reach, -0.8), (reach, 0), (-reach, 0.8)]),), width=width)


def gear(rng: Generator) -> ShapeOutline:
    """Draw a toothed wheel with a hub."""
    teeth, depth = int(rng.integers(7, 14)), rng.uniform(0.68, 0.85)
    radii = np.tile(floats([1, 1, depth, depth]), teeth)
    return ShapeOutline((polar(radii, _turn(4 * teeth)),), (circle(rng.uniform(0.15, 0.45)),))


def flower(rng: Generator) -> ShapeOutline:
    """Draw round petals around a differently coloured heart."""
    petals, depth = int(rng.integers(4, 9)), rng.uniform(0.18, 0.36)
    turns = _turn(72)
    radii = 1 - depth + depth * np.cos(2 * np.pi * petals * turns)
    return ShapeOutline((polar(radii.astype(np.float32), turns),), inner=(circle(rng.uniform(0.2, 0.35)),))


def wedge(rng: Generator) -> ShapeOutline:
    """Draw a sector of a circle."""
    arc = np.linspace(0, rng.uniform(0.2, 0.78), 30, dtype=np.float32)
    return ShapeOutline((np.concatenate([np.zeros((1, 2), np.float32), polar(1.0, arc)]),))


def frame(rng: Generator) -> ShapeOutline:
    """Draw a rectangle with a rectangular hole."""
    half, edge = rng.uniform(0.55, 1.0), rng.uniform(0.14, 0.3)
    return ShapeOutline((slab(-1, -half, 1, half),), (slab(edge - 1, edge - half, 1 - edge, half - edge),))


def dumbbell(rng: Generator) -> ShapeOutline:
    """Draw two discs joined by a bar."""
    left, right, half = rng.uniform(0.25, 0.42), rng.uniform(0.25, 0.42), rng.uniform(0.07, 0.16)
    return ShapeOutline((circle(left, left - 1), circle(right, 1 - right), slab(-0.6, -half, 0.6, half)))


def cluster(rng: Generator) -> ShapeOutline:
    """Draw a bunch of small discs that touch."""
    spots = int(rng.integers(4, 10))
    places = polar(np.sqrt(rng.random(spots)).astype(np.float32) * np.float32(0.66), _turn(spots))
    return ShapeOutline(tuple(circle(rng.uniform(0.2, 0.36), float(x), float(y)) for x, y in places))


def target(rng: Generator) -> ShapeOutline:
    """Draw concentric rings of alternating colours."""
    rings = int(rng.integers(2, 4))
    return ShapeOutline((circle(),), inner=tuple(circle(1 - (i + 1) / (rings + 1)) for i in range(rings)))


def tube(rng: Generator) -> ShapeOutline:
    """Draw a thick bent tube."""
    along = np.linspace(-1, 1, 32, dtype=np.float32)
    across = rng.uniform(0.1, 0.5) * np.sin(np.pi * (along * rng.uniform(0.5, 1.3) + rng.random()))
    curve = np.stack([along, across - across.mean()], 1).astype(np.float32) * np.float32(0.85)
    return ShapeOutline(strokes=(curve,), width=rng.uniform(0.16, 0.36))


def spiral(rng: Generator) -> ShapeOutline:
    """Draw a coil of two to three turns."""
    turns = np.linspace(0.3, rng.uniform(2.0, 3.0), 72, dtype=np.float32)
    return ShapeOutline(
        strokes=(polar(turns / turns[-1] * np.float32(0.9), turns),), width=rng.uniform(0.09, 0.16)
    )


def lattice(rng: Generator) -> ShapeOutline:
    """Draw bars that cross at right angles."""
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    half = rng.uniform(0.6, 0.95)
    across = [floats([(-0.95, y), (0.95, y)]) for y in np.linspace(-half, half, rows)]
    down = [floats([(x, -half), (x, half)]) for x in np.linspace(-0.95, 0.95, columns)]
    return ShapeOutline(strokes=(*across, *down), width=rng.uniform(0.07, 0.16))


def glyph(rng: Generator) -> ShapeOutline:
    """Draw a letter of no alphabet: a stem with two to four arms."""
    strokes = [floats([(-0.5, -0.85), (-0.5, 0.85)])]
    for _ in range(int(rng.integers(2, 5))):
        start, end = rng.uniform(-0.85, 0.85, 2)
        middle = (rng.uniform(0.0, 0.7), (start + end) / 2)
        strokes.append(floats([(-0.5, start), middle, (rng.uniform(0.2, 0.7), end)]))
    return ShapeOutline(strokes=tuple(strokes), width=rng.uniform(0.14, 0.3))


def patch(rng: Generator) -> ShapeOutline:
    """Draw a region whose outline says nothing; its texture makes the class."""
    shapes: tuple[Callable[[Generator], ShapeOutline], ...] = (blob, blob, rectangle, polygon, ellipse)
    return shapes[int(rng.integers(len(shapes)))](rng)

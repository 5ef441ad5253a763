"""Where the objects of one scene lie, how large they are and of which class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array


class Placement(NamedTuple):
    """One object to draw: its class, its centre and radius in pixels."""

    kind: int
    x: float
    y: float
    radius: float


class ClassSet(NamedTuple):
    """How many classes there are, and which of them can still be told apart when tiny."""

    number: int
    plain: tuple[int, ...]

    def pick(self, rng: Generator, part: float) -> int:
        """Return a class for an object whose radius is this part of the picture's side."""
        if part < 0.04:
            return self.plain[int(rng.integers(len(self.plain)))]
        return int(rng.integers(self.number))


def _between(rng: Generator, low: float, high: float) -> float:
    """Return a number that is uniform in its logarithm: each doubling of size is as likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _scatter(rng: Generator, parts: list[float], pixels: int) -> Float32Array:
    """Put centres more or less far from each other (the best of a few tries each), in pixels."""
    centres, choices = np.empty((len(parts), 2), np.float32), int(rng.integers(1, 6))
    for i in range(len(parts)):
        tries = rng.uniform(0.01, 0.99, (choices, 2)).astype(np.float32)
        gaps = np.linalg.norm(tries[:, None] - centres[None, :i], axis=2).min(1, initial=2.0)
        centres[i] = tries[int(gaps.argmax())]
    return centres * np.float32(pixels)


def _place(rng: Generator, kinds: list[int], parts: list[float], pixels: int) -> list[Placement]:
    centres = _scatter(rng, parts, pixels)
    return [
        Placement(kind, float(x), float(y), part * pixels)
        for kind, part, (x, y) in zip(kinds, parts, centres, strict=True)
    ]


def sparse(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Lay out one to five objects, small to huge."""
    parts = [_between(rng, 0.05, 0.42) for _ in range(int(rng.integers(1, 6)))]
    return _place(rng, [kinds.pick(rng, part) for part in parts], parts, pixels)


def mixed(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Lay out a clutter of all classes and sizes, the large ones first, hence underneath."""
    count = int(rng.integers(5, 22))
    parts = sorted((_between(rng, 0.03, 0.23) for _ in range(count)), reverse=True)
    return _place(rng, [kinds.pick(rng, part) for part in parts], parts, pixels)


def swarm(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Lay out a crowd of one to three classes, alike in size, with a few strangers on top."""
    part, spread = _between(rng, 0.03, 0.14), rng.uniform(0.03, 0.25)
    most = int(np.clip(0.45 / part**1.7, 12, 60))
    parts = [part * float(np.exp(rng.normal(0, spread))) for _ in range(int(rng.integers(8, most)))]
    crowd = [kinds.pick(rng, part) for _ in range(int(rng.integers(1, 4)))]
    chosen = [crowd[int(rng.integers(len(crowd)))] for _ in parts]
    strangers = [_between(rng, 0.05, 0.2) for _ in range(int(rng.integers(0, 3)))]
    chosen += [kinds.pick(rng, stranger) for stranger in strangers]
    return _place(rng, chosen, parts + strangers, pixels)


def dust(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Lay out small objects only, eight to eighteen pixels across at 192."""
    parts = [_between(rng, 0.022, 0.048) for _ in range(int(rng.integers(3, 30)))]
    return _place(rng, [kinds.pick(rng, part) for part in parts], parts, pixels)


LAYOUTS = (sparse, sparse, sparse, mixed, mixed, mixed, swarm, swarm, swarm, dust)


def arrange(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Return the objects of one scene, the lowest first."""
    return LAYOUTS[int(rng.integers(len(LAYOUTS)))](rng, kinds, pixels)

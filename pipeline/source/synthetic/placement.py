"""Sample the objects of one scene: position, size and class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array


class Placement(NamedTuple):
    """One object to draw: its class index, its center and radius in pixels."""

    kind: int
    x: float
    y: float
    radius: float


class ClassSet(NamedTuple):
    """The number of classes, and the indices of those that can be recognized even when tiny."""

    number: int
    plain: tuple[int, ...]

    def sample_class(self, rng: Generator, share: float) -> int:
        """Sample a class for an object whose radius is this fraction of the image side."""
        if share < 0.04:
            return self.plain[int(rng.integers(len(self.plain)))]
        return int(rng.integers(self.number))


def _sample_log_uniform(rng: Generator, low: float, high: float) -> float:
    """Sample a log-uniform number: each doubling of size is equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _sample_centers(rng: Generator, shares: list[float], pixels: int) -> Float32Array:
    """Sample centers in pixels, each the farthest from the others of a few tries."""
    centers, choices = np.empty((len(shares), 2), np.float32), int(rng.integers(1, 6))
    for i in range(len(shares)):
        tries = rng.uniform(0.01, 0.99, (choices, 2)).astype(np.float32)
        gaps = np.linalg.norm(tries[:, None] - centers[None, :i], axis=2).min(1, initial=2.0)
        centers[i] = tries[int(gaps.argmax())]
    return centers * np.float32(pixels)


def _build_placements(rng: Generator, kinds: list[int], shares: list[float], pixels: int) -> list[Placement]:
    centers = _sample_centers(rng, shares, pixels)
    return [
        Placement(kind, float(x), float(y), share * pixels)
        for kind, share, (x, y) in zip(kinds, shares, centers, strict=True)
    ]


def place_few_objects(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Place one to five objects, small to huge."""
    shares = [_sample_log_uniform(rng, 0.05, 0.42) for _ in range(int(rng.integers(1, 6)))]
    return _build_placements(rng, [kinds.sample_class(rng, share) for share in shares], shares, pixels)


def place_mixed_objects(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Place many objects of all classes and sizes; large ones first, so that they are below."""
    count = int(rng.integers(5, 22))
    shares = sorted((_sample_log_uniform(rng, 0.03, 0.23) for _ in range(count)), reverse=True)
    return _build_placements(rng, [kinds.sample_class(rng, share) for share in shares], shares, pixels)


def place_crowd(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Place a crowd of one to three classes and similar size, with a few other objects on top."""
    share, spread = _sample_log_uniform(rng, 0.03, 0.14), rng.uniform(0.03, 0.25)
    most = int(np.clip(0.45 / share**1.7, 12, 60))
    shares = [share * float(np.exp(rng.normal(0, spread))) for _ in range(int(rng.integers(8, most)))]
    crowd = [kinds.sample_class(rng, share) for _ in range(int(rng.integers(1, 4)))]
    chosen = [crowd[int(rng.integers(len(crowd)))] for _ in shares]
    strangers = [_sample_log_uniform(rng, 0.05, 0.2) for _ in range(int(rng.integers(0, 3)))]
    chosen += [kinds.sample_class(rng, stranger) for stranger in strangers]
    return _build_placements(rng, chosen, shares + strangers, pixels)


def place_small_objects(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Place small objects only, 8 to 18 pixels wide in an image of 192 pixels."""
    shares = [_sample_log_uniform(rng, 0.022, 0.048) for _ in range(int(rng.integers(3, 30)))]
    return _build_placements(rng, [kinds.sample_class(rng, share) for share in shares], shares, pixels)


# Each scene draws one at random: three are three times as likely as the last.
LAYOUTS = (
    place_few_objects,
    place_few_objects,
    place_few_objects,
    place_mixed_objects,
    place_mixed_objects,
    place_mixed_objects,
    place_crowd,
    place_crowd,
    place_crowd,
    place_small_objects,
)


def sample_placements(rng: Generator, kinds: ClassSet, pixels: int) -> list[Placement]:
    """Sample the objects of one scene, the lowest first."""
    return LAYOUTS[int(rng.integers(len(LAYOUTS)))](rng, kinds, pixels)

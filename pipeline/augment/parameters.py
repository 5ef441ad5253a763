"""Which transforms one augmented copy gets, and with which values: drawn from the copy's own seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AugmentationRanges:
    """What may be drawn; the fields bear the names of conf/augment and mean the same.

    Args:
        probability: Chance of each transform but the flips, 0..1.
        rotate: Up to this many degrees either way, 0..180.
        fliplr: Chance of a left-right flip, 0..1.
        flipud: Chance of an up-down flip, 0..1.
        brightness: Up to this share of the full range brighter or darker, 0..1.
        contrast: Up to this share more or less contrast, 0..1.
        blur: Standard deviation of the Gaussian, up to, in pixels.
        noise: Standard deviation of the Gaussian, up to, as a share of the full range, 0..1.
        scale: Up to this share larger or smaller, 0..1 without 1.
        crop: Up to this share cut away from each side's length, 0..1 without 1.
    """

    probability: float
    rotate: float
    fliplr: float
    flipud: float
    brightness: float
    contrast: float
    blur: float
    noise: float
    scale: float
    crop: float


@dataclass(frozen=True)
class AugmentationParameters:
    """The drawn values of one copy; the defaults change nothing.

    Args:
        fliplr: Left and right change places.
        flipud: Top and bottom change places.
        rotate: Clockwise as the eye sees it, in degrees.
        scale: Factor about the image's centre.
        crop: Share cut away from both sides' lengths, 0..1.
        left: Share of what is cut from the width that is cut at the left, 0..1.
        top: Share of what is cut from the height that is cut at the top, 0..1.
        contrast: Factor about the image's mean.
        brightness: Added, as a share of 255.
        blur: Standard deviation in pixels.
        noise: Standard deviation as a share of 255.
    """

    fliplr: bool = False
    flipud: bool = False
    rotate: float = 0.0
    scale: float = 1.0
    crop: float = 0.0
    left: float = 0.0
    top: float = 0.0
    contrast: float = 1.0
    brightness: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    @property
    def applied(self) -> dict[str, Any]:
        """The values that change something: `Recipe(**applied)` is this recipe again."""
        return {
            name: value
            for name, value in vars(self).items()
            if value != getattr(AugmentationParameters, name)
        }


def copy_seed(seed: int, source: str, copy: int, attempt: int = 0) -> int:
    """Give each copy of each image a seed of its own, below 2**48, whatever is drawn beside it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{source}/{copy}/{attempt}".encode()).digest()[:6])


def draw(ranges: AugmentationRanges, seed: int) -> AugmentationParameters:
    """Draw one recipe; each transform by itself, so that switching one on leaves the values of the others."""
    spans = {
        "rotate": (-ranges.rotate, ranges.rotate),
        "scale": (1 - ranges.scale, 1 + ranges.scale),
        "crop": (0.0, ranges.crop),
        "contrast": (1 - ranges.contrast, 1 + ranges.contrast),
        "brightness": (-ranges.brightness, ranges.brightness),
        "blur": (0.0, ranges.blur),
        "noise": (0.0, ranges.noise),
    }
    chosen = [name for name in spans if share(seed, name, "chance") < ranges.probability]
    values = {name: _between(*spans[name], share(seed, name, "value")) for name in chosen}
    if values.get("crop"):
        values |= {side: _between(0.0, 1.0, share(seed, "crop", side)) for side in ("left", "top")}
    fliplr, flipud = (share(seed, name, "chance") for name in ("fliplr", "flipud"))
    return AugmentationParameters(fliplr=fliplr < ranges.fliplr, flipud=flipud < ranges.flipud, **values)


def share(seed: int, *names: str) -> float:
    """Return a number in [0, 1) by hashing: the same on every machine and under every version."""
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _between(low: float, high: float, share: float) -> float:
    return round(low + (high - low) * share, 6)

"""Random transform parameters of an augmented copy, drawn from the copy's own seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AugmentationRanges:
    """The ranges that parameters are drawn from; the fields have the names and meanings of conf/augment.

    Args:
        probability: Probability of each transform except the flips, 0..1.
        rotate: Up to this many degrees in both directions, 0..180.
        fliplr: Probability of a left-right flip, 0..1.
        flipud: Probability of an up-down flip, 0..1.
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

    @property
    def can_change_more_than_flips(self) -> bool:
        """Whether something else than a flip can be drawn."""
        flips = {"probability", "fliplr", "flipud"}
        return bool(
            self.probability and any(value for name, value in vars(self).items() if name not in flips)
        )


@dataclass(frozen=True)
class AugmentationParameters:
    """The drawn values of one copy; the defaults change nothing.

    Args:
        fliplr: Swap left and right.
        flipud: Swap top and bottom.
        rotate: Degrees, clockwise to the eye.
        scale: Factor about the image's center.
        crop: Share cut away from both sides' lengths, 0..1.
        left: Share of the cut width that is cut at the left, 0..1.
        top: Share of the cut height that is cut at the top, 0..1.
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
        """The values that change something: `AugmentationParameters(**applied)` equals this object."""
        return {
            name: value
            for name, value in vars(self).items()
            if value != getattr(AugmentationParameters, name)
        }


def derive_copy_seed(seed: int, source: str, copy: int, attempt: int = 0) -> int:
    """Derive the seed of one copy of one image, below 2**48; other images and copies do not change it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{source}/{copy}/{attempt}".encode()).digest()[:6])


def draw_parameters(ranges: AugmentationRanges, seed: int) -> AugmentationParameters:
    """Draw the parameters of one copy.

    Each transform is drawn independently: to switch one on does not change the values of the others.
    """
    spans = {
        "rotate": (-ranges.rotate, ranges.rotate),
        "scale": (1 - ranges.scale, 1 + ranges.scale),
        "crop": (0.0, ranges.crop),
        "contrast": (1 - ranges.contrast, 1 + ranges.contrast),
        "brightness": (-ranges.brightness, ranges.brightness),
        "blur": (0.0, ranges.blur),
        "noise": (0.0, ranges.noise),
    }
    chosen = [name for name in spans if hash_to_share(seed, name, "chance") < ranges.probability]
    values = {name: _interpolate(*spans[name], hash_to_share(seed, name, "value")) for name in chosen}
    if values.get("crop"):
        values |= {
            side: _interpolate(0.0, 1.0, hash_to_share(seed, "crop", side)) for side in ("left", "top")
        }
    fliplr, flipud = (hash_to_share(seed, name, "chance") for name in ("fliplr", "flipud"))
    return AugmentationParameters(fliplr=fliplr < ranges.fliplr, flipud=flipud < ranges.flipud, **values)


def order_flips(fliplr: float, flipud: float, seed: int) -> list[AugmentationParameters]:
    """Return the flips that change an image, each once, in an order that likely ones tend to lead.

    A weighted shuffle: each has the key u^(1/p), with its probability p and a random number u (Efraimidis and
    Spirakis 2006).

    Args:
        fliplr: Probability of a left-right flip, 0..1.
        flipud: Probability of an up-down flip, 0..1.
        seed: Of the shuffle.
    """
    chances = {
        (lr, ud): (fliplr if lr else 1 - fliplr) * (flipud if ud else 1 - flipud)
        for lr, ud in ((True, False), (False, True), (True, True))
    }
    keys = {
        flips: hash_to_share(seed, "flips", str(flips)) ** (1 / chance)
        for flips, chance in chances.items()
        if chance
    }
    return [AugmentationParameters(*flips) for flips in sorted(keys, key=lambda each: -keys[each])]


def hash_to_share(seed: int, *names: str) -> float:
    """Return a random number in [0, 1) from a hash: the same on every machine and in every version."""
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _interpolate(low: float, high: float, share: float) -> float:
    return round(low + (high - low) * share, 6)

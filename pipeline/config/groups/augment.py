"""Schema of conf/augment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.fields import ConfigGroup, CountOrZero, Positive, Share


class OfflineAugmentation(ConfigGroup):
    """Copies made before training. `probability` is for the ranges; flips and pasting have their own."""

    multiplier: Annotated[int, Field(ge=1, le=100)]
    balance: Share
    probability: Share
    rotate: Annotated[float, Field(ge=0, le=180)]
    fliplr: Share
    flipud: Share
    brightness: Share
    contrast: Share
    blur: Annotated[float, Field(ge=0, le=10)]
    noise: Share
    scale: Annotated[float, Field(ge=0, lt=1)]
    crop: Annotated[float, Field(ge=0, lt=1)]
    copy_paste: Share
    visible: Share
    workers: CountOrZero

    @model_validator(mode="after")
    def _check_copies_differ(self) -> OfflineAugmentation:
        ranges = (self.rotate, self.brightness, self.contrast, self.blur, self.noise, self.scale, self.crop)
        if self.multiplier == 1 or (self.probability and any(ranges)):
            return self
        flipped = self._count_flipped_copies()
        if not flipped:
            raise ValueError(
                f"augment.offline.multiplier={self.multiplier} would only repeat images, as every range or "
                "augment.offline.probability is 0: set augment=none, or give a transform a range"
            )
        if not self.copy_paste and (self.balance or self.multiplier - 1 > flipped):
            raise ValueError(
                f"augment.offline.multiplier={self.multiplier} and balance={self.balance:g} would repeat "
                f"copies, as flips alone make {flipped} of an image: set multiplier={1 + flipped} and "
                "balance=0.0, or give a transform a range"
            )
        return self

    def _count_flipped_copies(self) -> int:
        """Return how many different copies of an image the flips alone can make."""
        ways = [1 if chance in {0, 1} else 2 for chance in (self.fliplr, self.flipud)]
        is_always_flipped = 1 in {self.fliplr, self.flipud}
        return ways[0] * ways[1] - (0 if is_always_flipped else 1)


class OnlineAugmentation(ConfigGroup):
    """Ultralytics' augmentation during training, with Ultralytics' names."""

    hsv_h: Share
    hsv_s: Share
    hsv_v: Share
    degrees: Annotated[float, Field(ge=0, le=180)]
    translate: Share
    scale: Share | Annotated[list[Positive], Field(min_length=2, max_length=2)]
    shear: Annotated[float, Field(ge=0, le=90)]
    perspective: Annotated[float, Field(ge=0, le=0.001)]
    flipud: Share
    fliplr: Share
    bgr: Share
    mosaic: Share
    close_mosaic: CountOrZero
    mixup: Share
    cutmix: Share
    copy_paste: Share
    copy_paste_mode: Literal["flip", "mixup"]
    auto_augment: Literal["randaugment", "autoaugment", "augmix"] | None
    erasing: Share


class AugmentConfig(ConfigGroup):
    """Offline copies and online transforms."""

    offline: OfflineAugmentation
    online: OnlineAugmentation

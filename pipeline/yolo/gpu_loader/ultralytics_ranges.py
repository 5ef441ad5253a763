"""Read the ranges of the random parameters from Ultralytics' transforms of train images."""

from __future__ import annotations

from typing import Any, Final

from ultralytics.data import augment

from pipeline.yolo.gpu_loader.parameters import BatchRanges

TRAIN_TRANSFORMS: Final = (
    "Mosaic",
    "RandomPerspective",
    "MixUp",
    "CutMix",
    "Albumentations",
    "RandomHSV",
    *2 * ("RandomFlip",),
    "Format",
)
"""Ultralytics' transforms of train images. CopyPaste is left out: it does nothing to upright boxes."""


class UnsupportedError(Exception):
    """The images have to stay with Ultralytics' loader; the message says why."""


def read_ranges(dataset: Any) -> BatchRanges:
    """Read the ranges from the transforms of Ultralytics' dataset.

    Raises:
        UnsupportedError: The GPU loader does not have one of the transforms.
    """
    if getattr(dataset, "rect", False):
        raise UnsupportedError("finetune.rect=true shapes batches to their images")
    if any(getattr(dataset, f"use_{form}", True) for form in ("segments", "keypoints", "obb")):
        raise UnsupportedError("only detect can augment them on the device")
    steps = [
        step for step in _flatten_transforms(dataset.transforms) if not isinstance(step, augment.CopyPaste)
    ]
    if tuple(type(step).__name__ for step in steps) != TRAIN_TRANSFORMS or steps[4].transform is not None:
        raise UnsupportedError("this version of Ultralytics augments them in another way")
    mosaic, affine, mixup, cutmix, _, colors, flipud, fliplr, form = steps
    for name, step in (("mixup", mixup), ("cutmix", cutmix)):
        if step.p:
            raise UnsupportedError(f"augment.online.{name}={step.p} is only done there")
    scale = affine.scale if isinstance(affine.scale, (tuple, list)) else (1 - affine.scale, 1 + affine.scale)
    return BatchRanges(
        side=int(dataset.imgsz),
        mosaic=mosaic.p,
        scale=(scale[0], scale[1]),
        gains=(colors.hgain, colors.sgain, colors.vgain),
        fliplr=fliplr.p,
        flipud=flipud.p,
        bgr=form.bgr,
        **{name: getattr(affine, name) for name in ("degrees", "translate", "shear", "perspective")},
    )


def _flatten_transforms(transforms: Any) -> list[Any]:
    """Flatten nested transforms into one list, in order."""
    if not isinstance(transforms, augment.Compose):
        return [transforms]
    return [step for inner in transforms.transforms for step in _flatten_transforms(inner)]

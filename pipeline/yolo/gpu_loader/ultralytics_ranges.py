"""What Ultralytics' transforms of train images draw from, read from the transforms themselves."""

from __future__ import annotations

from typing import Any, Final

from ultralytics.data import augment

from pipeline.yolo.gpu_loader.parameters import BatchRanges

STEPS: Final = (
    "Mosaic",
    "RandomPerspective",
    "MixUp",
    "CutMix",
    "Albumentations",
    "RandomHSV",
    *2 * ("RandomFlip",),
    "Format",
)
"""Ultralytics' transforms of train images; CopyPaste, which does nothing to upright boxes, is left out."""


class UnsupportedError(Exception):
    """The images have to stay with Ultralytics' loader, and why."""


def read(dataset: Any) -> BatchRanges:
    """Read from the transforms of Ultralytics' dataset what they would draw from.

    Raises:
        Unsuited: One of them is not known here.
    """
    if getattr(dataset, "rect", False):
        raise UnsupportedError("finetune.rect=true shapes batches to their images")
    if any(getattr(dataset, f"use_{form}", True) for form in ("segments", "keypoints", "obb")):
        raise UnsupportedError("only detect has them augmented on the device")
    steps = [step for step in _steps(dataset.transforms) if not isinstance(step, augment.CopyPaste)]
    if tuple(type(step).__name__ for step in steps) != STEPS or steps[4].transform is not None:
        raise UnsupportedError("this version of Ultralytics augments them in another way")
    mosaic, affine, mixup, cutmix, _, colours, upside_down, mirrored, form = steps
    for name, step in (("mixup", mixup), ("cutmix", cutmix)):
        if step.p:
            raise UnsupportedError(f"augment.online.{name}={step.p} is done there alone")
    scale = affine.scale if isinstance(affine.scale, (tuple, list)) else (1 - affine.scale, 1 + affine.scale)
    return BatchRanges(
        side=int(dataset.imgsz),
        mosaic=mosaic.p,
        scale=(scale[0], scale[1]),
        gains=(colours.hgain, colours.sgain, colours.vgain),
        fliplr=mirrored.p,
        flipud=upside_down.p,
        bgr=form.bgr,
        **{name: getattr(affine, name) for name in ("degrees", "translate", "shear", "perspective")},
    )


def _steps(transforms: Any) -> list[Any]:
    """Return the transforms in order, without their nesting."""
    if not isinstance(transforms, augment.Compose):
        return [transforms]
    return [step for inner in transforms.transforms for step in _steps(inner)]

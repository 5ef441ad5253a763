"""What a training would see of its images: Ultralytics' online augmentation, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from ultralytics.cfg import get_cfg
from ultralytics.utils.ops import xywhr2xyxyxyxy
from ultralytics.utils.torch_utils import init_seeds

from pipeline.core.arrays import ImageArray
from pipeline.core.geometry import polygons
from pipeline.core.geometry.polygons import GONE
from pipeline.core.tasks import Task
from pipeline.dataset.labels import EMPTY, WHOLE, ImageLabels, around
from pipeline.dataset.manifest import Manifest
from pipeline.storage import files
from pipeline.yolo.job import given
from pipeline.yolo.training import datasets
from pipeline.yolo.training.datasets import build_classification_dataset

TraceMask = Callable[[ImageArray], Sequence[NDArray[np.float64]]]
"""Turns a mask (height, width) into its outlines, (k, 2) x and y in pixels each."""

ENOUGH: Final = 48
"""Images that are looked at, evenly spread over all: 100,000 labels need not be read for a picture."""


def seen(
    source: Path, manifest: Manifest, *, arguments: Mapping[str, Any], count: int, trace_mask: TraceMask
) -> Iterator[tuple[ImageArray, ImageLabels]]:
    """Yield train images as a network would get them, BGR, with their labels; evenly spread over all of them.

    Args:
        source: The prepared dataset.
        manifest: What it holds.
        arguments: Ultralytics' train arguments under their own names, seed included.
        count: How many; of a small dataset each is shown several times, each time another way.
        trace_mask: Outlines the masks of a segmentation.
    """
    # a mask for each object, at full size: merged and reduced only when a training comes to its loss
    shown = {"overlap_mask": False, "mask_ratio": 1, "cache": False, "augmentations": []}
    namespace = get_cfg(overrides=given(arguments) | shown | {"save_dir": str(files.scratch("preview"))})
    init_seeds(namespace.seed)
    found = _dataset(namespace, source.resolve(), manifest)
    for place in np.linspace(0, len(found) - 1, count, dtype=int).tolist():
        sample = found[place]
        picture = sample["img"].numpy().transpose(1, 2, 0)[..., ::-1]
        pixels = picture if picture.dtype == np.uint8 else np.rint(picture * 255)
        yield np.ascontiguousarray(pixels, np.uint8), _labels(sample, manifest.task, trace_mask)


def _dataset(namespace: Any, source: Path, manifest: Manifest) -> Any:
    items = manifest.of("train")
    namespace.fraction = 1.0
    names = ("item",) if namespace.single_cls else manifest.names
    data = {"names": dict(enumerate(names)), "nc": len(names), "channels": 3, "task": manifest.task}
    if points := manifest.keypoints:
        data |= {"kpt_shape": [points.count, points.dims], "flip_idx": list(points.flip)}
    if manifest.task == "classify":
        namespace.fraction = min(1.0, ENOUGH / len(items))
        return build_classification_dataset(namespace, [str(source / "images/train")], data=data, train=True)
    chosen = [items[place] for place in np.linspace(0, len(items) - 1, min(ENOUGH, len(items)), dtype=int)]
    listing = Path(namespace.save_dir) / "images.txt"
    files.write(listing, "\n".join(str(source / "images" / item.file) for item in chosen))
    found = datasets.build(namespace, [str(listing)], data=data, train=True, batch=ENOUGH, stride=32)
    for place in range(len(found)):
        found.load_image(place)  # a mosaic is made of images that were loaded lately
    return found


def _labels(sample: Mapping[str, Any], task: Task, trace_mask: TraceMask) -> ImageLabels:
    """Turn what a network would be told of one image back into labels."""
    if task == "classify":
        return ImageLabels(np.array([sample["cls"]], np.int64), np.array([WHOLE]))
    classes = sample["cls"].numpy().reshape(-1).astype(np.int64)
    if not len(classes):
        return EMPTY
    boxes = sample["bboxes"].numpy().astype(np.float64)
    extent = np.array(sample["img"].shape[:0:-1], np.float64)
    if task == "obb":
        corners = tuple(xywhr2xyxyxyxy(boxes * [*extent, *extent, 1]) / extent)
        return ImageLabels(classes, around(corners), corners)
    if task == "segment":
        rings = [trace_mask(mask.numpy().astype(np.uint8)) for mask in sample["masks"][: len(classes)]]
        joined = (polygons.join(parts) if parts else GONE for parts in rings)
        return ImageLabels(classes, boxes, tuple(ring / extent for ring in joined))
    if task == "pose":
        return ImageLabels(classes, boxes, keypoints=sample["keypoints"].numpy().astype(np.float64))
    return ImageLabels(classes, boxes)

"""Train images as the network gets them: after Ultralytics' online augmentation, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from ultralytics.cfg import get_cfg
from ultralytics.utils.ops import xywhr2xyxyxyxy
from ultralytics.utils.torch_utils import init_seeds

from pipeline.core.arrays import ImageArray
from pipeline.core.tasks import Task
from pipeline.dataset.labels import EMPTY_LABELS, WHOLE_IMAGE_BOX, ImageLabels, outlines_to_boxes
from pipeline.dataset.manifest import Manifest
from pipeline.storage.files import write_file
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.yolo.job import drop_unset_arguments
from pipeline.yolo.training.datasets.classification_dataset import build_classification_dataset
from pipeline.yolo.training.datasets.object_dataset import build_object_dataset

MAX_IMAGES_READ: Final = 48
"""Images that are read, evenly from the whole split: a picture does not need 100,000 labels."""


def iterate_train_samples(
    source: Path, manifest: Manifest, *, arguments: Mapping[str, Any], count: int
) -> Iterator[tuple[ImageArray, ImageLabels]]:
    """Yield train images as the network gets them, BGR, with their labels, evenly from the whole split.

    Args:
        source: The prepared dataset.
        manifest: Its manifest.
        arguments: Ultralytics' train arguments under their own names, seed included.
        count: Number of samples; from a small dataset an image may come several times, augmented differently.
    """
    settings = {"cache": False, "augmentations": [], "save_dir": str(create_scratch_folder("preview"))}
    namespace = get_cfg(overrides=drop_unset_arguments(arguments) | settings)
    init_seeds(namespace.seed)
    dataset = _build_train_dataset(namespace, source.resolve(), manifest)
    for index in np.linspace(0, len(dataset) - 1, count, dtype=int).tolist():
        sample = dataset[index]
        picture = sample["img"].numpy().transpose(1, 2, 0)[..., ::-1]
        pixels = picture if picture.dtype == np.uint8 else np.rint(picture * 255)
        yield np.ascontiguousarray(pixels, np.uint8), _convert_labels(sample, manifest.task)


def _build_train_dataset(namespace: Any, source: Path, manifest: Manifest) -> Any:
    items = manifest.in_split("train")
    names = ("item",) if namespace.single_cls else manifest.names
    data = {"names": dict(enumerate(names)), "nc": len(names), "channels": 3, "task": manifest.task}
    if points := manifest.keypoints:
        data |= {"kpt_shape": [points.count, points.dims], "flip_idx": list(points.flip)}
    count = min(MAX_IMAGES_READ, len(items))
    indices = np.linspace(0, len(items) - 1, count, dtype=int)  # files may be sorted by class
    selected = [str(source / "images" / items[index].file) for index in indices]
    if manifest.task == "classify":
        return build_classification_dataset(namespace, selected, data=data, train=True)
    listing = Path(namespace.save_dir) / "images.txt"
    write_file(listing, "\n".join(selected))
    dataset = build_object_dataset(
        namespace, [str(listing)], data=data, train=True, batch=MAX_IMAGES_READ, stride=32
    )
    for index in range(len(dataset)):
        dataset.load_image(index)  # a mosaic uses recently loaded images
    if manifest.task == "segment":
        dataset.transforms.transforms[-1].return_mask = False  # a mask per object takes gigabytes for many
        dataset.transforms.insert(-1, _keep_outlines)
    return dataset


def _keep_outlines(labels: dict[str, Any]) -> dict[str, Any]:
    """Keep the outlines of which Ultralytics' last transform makes masks: n of (points, 2), 0..1."""
    instances = labels["instances"]
    extent = np.array([1, 1] if instances.normalized else labels["img"].shape[1::-1], np.float64)
    labels["outlines"] = [outline / extent for outline in instances.segments]
    return labels


def _convert_labels(sample: Mapping[str, Any], task: Task) -> ImageLabels:
    """Convert the network's targets for one image back into labels."""
    if task == "classify":
        return ImageLabels(np.array([sample["cls"]], np.int64), np.array([WHOLE_IMAGE_BOX]))
    classes = sample["cls"].numpy().reshape(-1).astype(np.int64)
    if not len(classes):
        return EMPTY_LABELS
    boxes = sample["bboxes"].numpy().astype(np.float64)
    extent = np.array(sample["img"].shape[:0:-1], np.float64)
    if task == "obb":
        corners = tuple(xywhr2xyxyxyxy(boxes * [*extent, *extent, 1]) / extent)
        return ImageLabels(classes, outlines_to_boxes(corners), corners)
    if task == "segment":
        return ImageLabels(classes, boxes, tuple(sample["outlines"]))
    if task == "pose":
        return ImageLabels(classes, boxes, keypoints=sample["keypoints"].numpy().astype(np.float64))
    return ImageLabels(classes, boxes)

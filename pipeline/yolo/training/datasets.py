"""Datasets that read images and labels as `prepare` and `augment` wrote them, and write nothing there.

Ultralytics' own reader unpickles and writes `labels.cache` next to the labels, overwrites damaged JPEGs, and
reads a .npy file next to an image instead of the image.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ultralytics.data.augment import classify_augmentations, classify_transforms
from ultralytics.data.dataset import ClassificationDataset, YOLODataset
from ultralytics.data.utils import IMG_FORMATS, exif_size, img2label_paths

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.dataset.labels import parse_labels
from pipeline.runtime.memory import read_available_memory
from pipeline.yolo.distributed.group_member import read_member
from pipeline.yolo.frozen.store import CachedSamplesMixin
from pipeline.yolo.training.decoded_images import DecodedImagesMixin
from pipeline.yolo.training.report_progress import report_caching
from pipeline.yolo.training.sample_seeds import SeededSamplesMixin

LOG = logging.getLogger("ultralytics")


class LabelContent(NamedTuple):
    """What a label file holds: labels of which task, and how many key points of a pose."""

    task: Task
    points: int


class YoloTrainDataset(SeededSamplesMixin, CachedSamplesMixin, YOLODataset):  # type: ignore[misc]
    """Ultralytics' dataset of all tasks but classify, with this project's label reader."""

    cache: str | None
    buffer: list[int]

    def __init__(self, *args: Any, cache_folder: Path, began_with: str | None = None, **kwargs: Any) -> None:
        self.cache_folder = cache_folder
        self.began_with = began_with
        super().__init__(*args, **kwargs)

    def get_labels(self) -> list[dict[str, Any]]:
        """Read all label files."""
        self.label_files = img2label_paths(self.im_files)
        content = LabelContent(self.data["task"], self.data.get("kpt_shape", (0, 3))[0])
        classes = math.inf if self.single_cls else len(self.data["names"])
        pairs = zip(self.im_files, self.label_files, strict=True)
        return [_read_label(Path(image), Path(label), content, classes=classes) for image, label in pairs]

    def build_transforms(self, hyp: Any = None) -> Any:
        """Build the transforms; a mosaic draws from all images if it did so when the training began.

        Ultralytics decides by the cache in use: without one, mosaics draw from recently loaded images.
        """
        in_use = self.cache
        self.cache = self.began_with or in_use
        try:
            return super().build_transforms(hyp)
        finally:
            self.cache = in_use

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Check whether the decoded images fit into memory: each process of a training keeps all of them."""
        needed = (1 + safety_margin) * read_member().local_size
        fits: bool = super().check_cache_ram(needed - 1)
        return fits

    def cache_images(self) -> None:
        """Cache the decoded images, with a progress line."""
        with report_caching():
            super().cache_images()

    def refill_buffer(self) -> None:
        """Replace the images that mosaics are drawn from, where none is cached in memory, by random ones.

        A worker process loads every n-th batch of an epoch, after those that it loaded in earlier epochs.
        """
        if not self.augment or "ram" in {self.cache, self.began_with}:
            return
        for index in self.buffer:
            self.ims[index] = self.im_hw0[index] = self.im_hw[index] = None
        self.buffer = []
        count = min(self.ni, self.batch_size, max(1, self.max_buffer_length - 1))
        restore_buffer(self, random.sample(range(self.ni), count))

    def release_images(self) -> None:
        """Release the decoded images."""
        self.ims = [None] * self.ni

    @property
    def npy_files(self) -> list[Path]:
        """Paths of the decoded images of `cache: disk`: in scratch, not next to the images."""
        return self._npy_files

    @npy_files.setter
    def npy_files(self, default: list[Path]) -> None:
        self._npy_files = [self.cache_folder / f"{number:07d}.npy" for number in range(len(default))]


def build_object_dataset(
    arguments: Any, folders: list[str], *, data: dict[str, Any], train: bool, **settings: Any
) -> YoloTrainDataset:
    """Build the dataset as `ultralytics.data.build.build_yolo_dataset` does, with our class.

    Args:
        arguments: The trainer's namespace.
        folders: Folders of images.
        data: The trainer's dictionary of names and paths.
        train: Whether to augment.
        **settings: `batch` and `stride`, and for a resumed training `began_with`: ram, disk or None, the
            cache that was in use before.
    """
    split = "train" if train else "val"
    cache_folder = Path(arguments.save_dir) / "images" / split
    cache_folder.mkdir(parents=True, exist_ok=True)
    return YoloTrainDataset(
        img_path=folders,
        imgsz=arguments.imgsz,
        batch_size=settings["batch"],
        augment=train,
        hyp=arguments,
        rect=arguments.rect or not train,
        cache=settings.get("began_with", arguments.cache) or None,
        single_cls=arguments.single_cls,
        stride=settings["stride"],
        pad=0.0 if train else 0.5,
        prefix=f"{split}: ",
        task=data["task"],
        data=data,
        cache_folder=cache_folder,
        began_with=settings.get("began_with"),
    )


def restore_buffer(dataset: Any, indices: Sequence[int]) -> None:
    """Load the images that mosaics are drawn from where no image is cached in memory.

    Args:
        dataset: Of the train images.
        indices: For its `buffer`, in this order; empty where there is none.
    """
    for index in indices:
        dataset.load_image(index)


def _read_label(image: Path, label: Path, content: LabelContent, *, classes: float) -> dict[str, Any]:
    try:
        objects = parse_labels(label.read_text("utf-8"), content.task)
        with Image.open(image) as opened:
            width, height = exif_size(opened)
        points = _shape_keypoints(objects.keypoints, content) if content.task == "pose" else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{image} or {label} cannot be read ({error}): run prepare and augment again"
        ) from None
    if len(objects) and objects.classes.max() >= classes:
        raise _unknown_class(label, objects.classes.max(), classes)
    return {
        "im_file": str(image),
        "shape": (height, width),
        "cls": objects.classes[:, None].astype(np.float32),
        "bboxes": objects.boxes.astype(np.float32),
        "segments": [outline.astype(np.float32) for outline in objects.outlines],
        "keypoints": points,
        "normalized": True,
        "bbox_format": "xywh",
    }


def _unknown_class(label: Path, index: int, classes: float) -> UserError:
    return UserError(f"{label} has class {index}, but there are only {classes} classes: run prepare again")


def _shape_keypoints(points: NDArray[np.float64], content: LabelContent) -> NDArray[np.float32]:
    """Return (n, points, 3), also where n is 0."""
    if len(points) and points.shape[1] != content.points:
        raise ValueError(f"{points.shape[1]} points instead of {content.points}")
    return points.reshape(-1, content.points, 3).astype(np.float32)


class ClassificationTrainDataset(
    SeededSamplesMixin,
    CachedSamplesMixin,
    DecodedImagesMixin,
    ClassificationDataset,  # type: ignore[misc]
):
    """Ultralytics' classification dataset, filled from label files instead of class folders."""

    def __init__(
        self, arguments: Any, images_at: list[str], *, classes: int, train: bool, cache_folder: Path
    ) -> None:
        images = [path for place in images_at for path in _list_images(Path(place))]
        pairs = zip(images, map(Path, img2label_paths(list(map(str, images)))), strict=True)
        self.samples: list[tuple[str, int, Path, None]] = [
            (str(image), _read_class(image, label, classes=classes), cache_folder / f"{number:07d}.npy", None)
            for number, (image, label) in enumerate(pairs)
        ]
        self.prefix = "train: " if train else "val: "
        self.cache_disk = arguments.cache == "disk"
        self.cache_ram = arguments.cache in {True, "ram"} and self._fits()
        if self.cache_ram:
            self.cache_images()
        self.torch_transforms = (
            _build_augmentations(arguments) if train else classify_transforms(arguments.imgsz)
        )

    def cache_images(self) -> None:
        """Cache the decoded images, with a progress line."""
        with report_caching():
            super().cache_images()

    def release_images(self) -> None:
        """Release the decoded images."""
        self.samples = [(*sample[:3], None) for sample in self.samples]

    def _fits(self) -> bool:
        """Tell whether all decoded images fit into half of the free memory; Ultralytics does not check it."""
        images = sum(_decoded_bytes(Path(file)) for file, *_ in self.samples)
        needed = images * read_member().local_size
        if 2 * needed > read_available_memory():
            LOG.warning(f"{self.prefix}{needed / 2**30:.1f} GB of images are too much to keep in memory")
            return False
        return True


def build_classification_dataset(
    arguments: Any, images_at: list[str], *, data: dict[str, Any], train: bool
) -> ClassificationTrainDataset:
    """Build the classify dataset of one split.

    Args:
        arguments: The trainer's namespace.
        images_at: Folders of images, or images.
        data: The trainer's dictionary of names and paths.
        train: Whether to augment.
    """
    cache_folder = Path(arguments.save_dir) / "images" / ("train" if train else "val")
    cache_folder.mkdir(parents=True, exist_ok=True)
    return ClassificationTrainDataset(
        arguments, images_at, classes=len(data["names"]), train=train, cache_folder=cache_folder
    )


def _build_augmentations(arguments: Any) -> Any:
    """Build the transforms from the same arguments as Ultralytics' ClassificationDataset."""
    same = ("erasing", "auto_augment", "hsv_h", "hsv_s", "hsv_v")
    return classify_augmentations(
        size=arguments.imgsz,
        scale=(1.0 - arguments.scale, 1.0),
        hflip=arguments.fliplr,
        vflip=arguments.flipud,
        **{name: getattr(arguments, name) for name in same},
    )


def _read_class(image: Path, label: Path, *, classes: int) -> int:
    try:
        [index] = parse_labels(label.read_text("utf-8"), "classify").classes.tolist()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{label} does not name one class for {image} ({error}): run prepare and augment again"
        ) from None
    if index >= classes:
        raise _unknown_class(label, index, classes)
    return int(index)


def _list_images(place: Path) -> list[Path]:
    return sorted(filter(_is_image, place.iterdir())) if place.is_dir() else [place]


def _is_image(path: Path) -> bool:
    return path.suffix[1:].lower() in IMG_FORMATS and not path.name.startswith(".")


def _decoded_bytes(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return 3 * image.width * image.height
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}): run prepare and augment again") from None

"""The images of a training, read where `prepare` and `augment` put them, and nothing written there.

Ultralytics' own reader unpickles and writes `labels.cache` beside the labels, saves damaged JPEGs anew in
place, and takes a .npy beside an image for the image.
"""

from __future__ import annotations

import logging
import math
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
from pipeline.dataset import labels
from pipeline.runtime.memory import available
from pipeline.yolo.frozen.store import CachedSamplesMixin


class LabelContent(NamedTuple):
    """What the label files hold: for which task, and how many points of a pose."""

    task: Task
    points: int


class YoloTrainDataset(CachedSamplesMixin, YOLODataset):  # type: ignore[misc]
    """Ultralytics' dataset of all tasks but classify, with label files read as this project wrote them."""

    def __init__(self, *args: Any, cache_folder: Path, **kwargs: Any) -> None:
        self.cache_folder = cache_folder
        super().__init__(*args, **kwargs)

    def get_labels(self) -> list[dict[str, Any]]:
        """Read all label files."""
        self.label_files = img2label_paths(self.im_files)
        form = LabelContent(self.data["task"], self.data.get("kpt_shape", (0, 3))[0])
        classes = math.inf if self.single_cls else len(self.data["names"])
        pairs = zip(self.im_files, self.label_files, strict=True)
        return [_label(Path(image), Path(label), form, classes=classes) for image, label in pairs]

    def forget_images(self) -> None:
        """Let go of the decoded images."""
        self.ims = [None] * self.ni

    @property
    def npy_files(self) -> list[Path]:
        """Where `cache: disk` keeps decoded images: in scratch."""
        return self._npy_files

    @npy_files.setter
    def npy_files(self, beside: list[Path]) -> None:
        self._npy_files = [self.cache_folder / f"{number:07d}.npy" for number in range(len(beside))]


def build(
    arguments: Any, folders: list[str], *, data: dict[str, Any], train: bool, **sizes: Any
) -> YoloTrainDataset:
    """Build the dataset as `ultralytics.data.build.build_yolo_dataset` does, from our class.

    Args:
        arguments: The trainer's namespace.
        folders: Of images.
        data: The trainer's dictionary of names and places.
        train: Whether to augment.
        **sizes: `batch` and `stride`.
    """
    split = "train" if train else "val"
    cache_folder = Path(arguments.save_dir) / "images" / split
    cache_folder.mkdir(parents=True, exist_ok=True)
    return YoloTrainDataset(
        img_path=folders,
        imgsz=arguments.imgsz,
        batch_size=sizes["batch"],
        augment=train,
        hyp=arguments,
        rect=arguments.rect or not train,
        cache=arguments.cache or None,
        single_cls=arguments.single_cls,
        stride=sizes["stride"],
        pad=0.0 if train else 0.5,
        prefix=f"{split}: ",
        task=data["task"],
        data=data,
        fraction=arguments.fraction if train else 1.0,
        cache_folder=cache_folder,
    )


def _label(image: Path, label: Path, form: LabelContent, *, classes: float) -> dict[str, Any]:
    try:
        found = labels.parse(label.read_text("utf-8"), form.task)
        with Image.open(image) as opened:
            width, height = exif_size(opened)
        points = _points(found.keypoints, form) if form.task == "pose" else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{image} or {label} cannot be read ({error}): run prepare and augment again"
        ) from None
    if len(found) and found.classes.max() >= classes:
        raise UserError(f"{label} names class {found.classes.max()} of {classes}: run prepare again")
    return {
        "im_file": str(image),
        "shape": (height, width),
        "cls": found.classes[:, None].astype(np.float32),
        "bboxes": found.boxes.astype(np.float32),
        "segments": [outline.astype(np.float32) for outline in found.outlines],
        "keypoints": points,
        "normalized": True,
        "bbox_format": "xywh",
    }


def _points(points: NDArray[np.float64], form: LabelContent) -> NDArray[np.float32]:
    """Return (n, points, 3), of no object too."""
    if len(points) and points.shape[1] != form.points:
        raise ValueError(f"{points.shape[1]} points instead of {form.points}")
    return points.reshape(-1, form.points, 3).astype(np.float32)


LOG = logging.getLogger("ultralytics")


class ClassificationTrainDataset(CachedSamplesMixin, ClassificationDataset):  # type: ignore[misc]
    """Ultralytics' classification dataset, filled from label files instead of by a scan of class folders."""

    def __init__(
        self, arguments: Any, folders: list[str], *, classes: int, train: bool, cache_folder: Path
    ) -> None:
        images = [path for folder in folders for path in sorted(Path(folder).iterdir()) if _is_image(path)]
        if train:
            images = _share(images, arguments.fraction)
        known = zip(images, map(Path, img2label_paths(list(map(str, images)))), strict=True)
        self.samples: list[tuple[str, int, Path, None]] = [
            (str(image), _class(image, label, classes=classes), cache_folder / f"{number:07d}.npy", None)
            for number, (image, label) in enumerate(known)
        ]
        self.prefix = "train: " if train else "val: "
        self.cache_disk = arguments.cache == "disk"
        self.cache_ram = arguments.cache in {True, "ram"} and self._fits()
        if self.cache_ram:
            self.cache_images()
        self.torch_transforms = _augmentations(arguments) if train else classify_transforms(arguments.imgsz)

    def forget_images(self) -> None:
        """Let go of the decoded images."""
        self.samples = [(*sample[:3], None) for sample in self.samples]

    def _fits(self) -> bool:
        """Tell whether all decoded images fit into half of the free memory: Ultralytics does not ask here."""
        needed = sum(_bytes(Path(file)) for file, *_ in self.samples)
        if 2 * needed > available():
            LOG.warning(f"{self.prefix}{needed / 2**30:.1f} GB of images are not kept in memory: too many")
            return False
        return True


def build_classification_dataset(
    arguments: Any, folders: list[str], *, data: dict[str, Any], train: bool
) -> ClassificationTrainDataset:
    """Build the dataset of one split.

    Args:
        arguments: The trainer's namespace.
        folders: Of images.
        data: The trainer's dictionary of names and places.
        train: Whether to augment.
    """
    cache_folder = Path(arguments.save_dir) / "images" / ("train" if train else "val")
    cache_folder.mkdir(parents=True, exist_ok=True)
    return ClassificationTrainDataset(
        arguments, folders, classes=len(data["names"]), train=train, cache_folder=cache_folder
    )


def _augmentations(arguments: Any) -> Any:
    """Pass on the arguments that Ultralytics' ClassificationDataset does."""
    same = ("erasing", "auto_augment", "hsv_h", "hsv_s", "hsv_v")
    return classify_augmentations(
        size=arguments.imgsz,
        scale=(1.0 - arguments.scale, 1.0),
        hflip=arguments.fliplr,
        vflip=arguments.flipud,
        **{name: getattr(arguments, name) for name in same},
    )


def _share(images: list[Path], fraction: float) -> list[Path]:
    """Take a share from all over the list, as Ultralytics does: file names often begin with the class."""
    count = max(1, round(len(images) * fraction))
    return [images[place] for place in np.linspace(0, len(images) - 1, count, dtype=int)]


def _class(image: Path, label: Path, *, classes: int) -> int:
    try:
        [index] = labels.parse(label.read_text("utf-8"), "classify").classes.tolist()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{label} names no one class of {image} ({error}): run prepare and augment again"
        ) from None
    if index >= classes:
        raise UserError(f"{label} names class {index} of {classes}: run prepare again")
    return int(index)


def _is_image(path: Path) -> bool:
    return path.suffix[1:].lower() in IMG_FORMATS and not path.name.startswith(".")


def _bytes(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return 3 * image.width * image.height
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}): run prepare and augment again") from None

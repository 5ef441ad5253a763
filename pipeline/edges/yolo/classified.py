"""The images of a classification, each with the class that its label file names; nothing is written there.

Ultralytics' own reader wants a folder per class and split, and writes a cache beside it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ultralytics.data.augment import classify_augmentations, classify_transforms
from ultralytics.data.dataset import ClassificationDataset
from ultralytics.data.utils import IMG_FORMATS, img2label_paths

from pipeline.core import labels
from pipeline.edges.files import Refused
from pipeline.edges.memory import available
from pipeline.edges.yolo.frozen_store import Noting

LOG = logging.getLogger("ultralytics")


class Classified(Noting, ClassificationDataset):  # type: ignore[misc]
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


def build(arguments: Any, folders: list[str], *, data: dict[str, Any], train: bool) -> Classified:
    """Build the dataset of one split.

    Args:
        arguments: The trainer's namespace.
        folders: Of images.
        data: The trainer's dictionary of names and places.
        train: Whether to augment.
    """
    cache_folder = Path(arguments.save_dir) / "images" / ("train" if train else "val")
    cache_folder.mkdir(parents=True, exist_ok=True)
    return Classified(arguments, folders, classes=len(data["names"]), train=train, cache_folder=cache_folder)


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
        raise Refused(
            f"{label} names no one class of {image} ({error}): run prepare and augment again"
        ) from None
    if index >= classes:
        raise Refused(f"{label} names class {index} of {classes}: run prepare again")
    return int(index)


def _is_image(path: Path) -> bool:
    return path.suffix[1:].lower() in IMG_FORMATS and not path.name.startswith(".")


def _bytes(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return 3 * image.width * image.height
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error}): run prepare and augment again") from None

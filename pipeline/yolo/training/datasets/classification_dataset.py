"""The dataset of classify: images of one class each, from label files instead of class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from ultralytics.data.augment import classify_augmentations, classify_transforms
from ultralytics.data.dataset import ClassificationDataset
from ultralytics.data.utils import IMG_FORMATS, img2label_paths

from pipeline.core.errors import UserError
from pipeline.dataset.labels import parse_labels
from pipeline.yolo.frozen.store import CachedSamplesMixin
from pipeline.yolo.training.datasets.cache_limits import fit_into_memory
from pipeline.yolo.training.datasets.decoded_images import DecodedImagesMixin
from pipeline.yolo.training.datasets.label_files import build_class_error
from pipeline.yolo.training.report_progress import report_caching
from pipeline.yolo.training.sample_seeds import SeededSamplesMixin


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
        self.cache = "ram" if self.cache_ram else "disk" if self.cache_disk else None
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
        """Release the decoded images; one that is still asked for is read from its file."""
        if self.cache_ram:
            self.cache_ram = False
            del self.img_cache

    def _fits(self) -> bool:
        """Tell whether all decoded images, in their own sizes, fit into memory."""
        return fit_into_memory(
            sum(_decoded_bytes(Path(file)) for file, *_ in self.samples), prefix=self.prefix
        )


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
        raise build_class_error(label, index, classes)
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

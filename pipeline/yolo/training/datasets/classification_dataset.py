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
from pipeline.yolo.training.datasets.cache_limits import fit_into_memory, fit_onto_disk
from pipeline.yolo.training.datasets.decoded_images import DecodedImagesMixin, is_current
from pipeline.yolo.training.datasets.label_files import build_class_error
from pipeline.yolo.training.report_progress import report_caching
from pipeline.yolo.training.sample_seeds import SeededSamplesMixin


class ClassificationTrainDataset(
    SeededSamplesMixin,
    CachedSamplesMixin,
    DecodedImagesMixin,
    ClassificationDataset,  # type: ignore[misc]
):
    """Ultralytics' classification dataset, filled from label files instead of class folders.

    Attributes:
        unstored_bytes: Of the decoded images that samples will still store on the disk.
    """

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
        self.unstored_bytes = 0
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

    def check_cache_disk(self, folder: Path, reserved_bytes: int) -> None:
        """Read the images in every epoch if those that are not stored yet do not fit onto the disk.

        Args:
            folder: Where they are stored; it exists.
            reserved_bytes: Of the disk, which other datasets will still write.
        """
        pairs = ((Path(file), stored) for file, _, stored, _ in self.samples)
        needed = sum(_decoded_bytes(image) for image, stored in pairs if not is_current(stored, image))
        if not needed or fit_onto_disk(needed + reserved_bytes, folder, prefix=self.prefix):
            self.unstored_bytes = needed
        else:
            self.cache_disk, self.cache = False, None

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
    arguments: Any, images_at: list[str], *, data: dict[str, Any], train: bool, reserved_bytes: int = 0
) -> ClassificationTrainDataset:
    """Build the classify dataset of one split.

    Args:
        arguments: The trainer's namespace.
        images_at: Folders of images, or images.
        data: The trainer's dictionary of names and paths.
        train: Whether to augment.
        reserved_bytes: Of the disk, which other datasets will still write.
    """
    cache_folder = Path(arguments.save_dir) / "images" / ("train" if train else "val")
    cache_folder.mkdir(parents=True, exist_ok=True)
    dataset = ClassificationTrainDataset(
        arguments, images_at, classes=len(data["names"]), train=train, cache_folder=cache_folder
    )
    if dataset.cache_disk:
        dataset.check_cache_disk(cache_folder, reserved_bytes)
    return dataset


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

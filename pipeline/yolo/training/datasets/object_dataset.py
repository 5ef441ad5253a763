"""The dataset of all tasks but classify: images with objects, from label files."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import img2label_paths

from pipeline.runtime.thread_pool import read_in_threads
from pipeline.yolo.frozen.store import CachedSamplesMixin
from pipeline.yolo.training.datasets.cache_limits import fit_into_memory, fit_onto_disk
from pipeline.yolo.training.datasets.label_files import LabelContent, read_label_file
from pipeline.yolo.training.report_progress import report_caching
from pipeline.yolo.training.sample_seeds import SeededSamplesMixin


class YoloTrainDataset(SeededSamplesMixin, CachedSamplesMixin, YOLODataset):  # type: ignore[misc]
    """Ultralytics' dataset of all tasks but classify, with this project's label reader."""

    cache: str | None
    buffer: list[int]

    def __init__(self, *args: Any, cache_folder: Path, began_with: str | None = None, **kwargs: Any) -> None:
        self.cache_folder = cache_folder
        self.began_with = began_with
        self.image_sizes: dict[str, tuple[int, int]] = {}
        super().__init__(*args, **kwargs)
        del self.image_sizes  # worker processes do not need them

    def get_labels(self) -> list[dict[str, Any]]:
        """Read all label files."""
        self.label_files = img2label_paths(self.im_files)
        content = LabelContent(self.data["task"], self.data.get("kpt_shape", (0, 3))[0])
        classes = math.inf if self.single_cls else len(self.data["names"])
        pairs = list(zip(map(Path, self.im_files), map(Path, self.label_files), strict=True))
        labels = read_in_threads(lambda pair: read_label_file(*pair, content, classes=classes), pairs)
        self.image_sizes = {label["im_file"]: label["shape"] for label in labels}  # rect takes them away
        return labels

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
        """Check whether the images fit into memory, as they are kept: the long side of each is imgsz."""
        del safety_margin
        sizes = self.image_sizes.values()
        pixels = sum(height * width * (self.imgsz / max(height, width)) ** 2 for height, width in sizes)
        return self._keep_cache(fit_into_memory(round(self.channels * pixels), prefix=self.prefix))

    def check_cache_disk(self, safety_margin: float = 0.1) -> bool:
        """Check whether the images fit onto the disk, in their own sizes. Those of earlier sessions do."""
        del safety_margin
        files = zip(self.im_files, self.npy_files, strict=True)
        pixels = sum(math.prod(self.image_sizes[image]) for image, stored in files if not stored.exists())
        fits = fit_onto_disk(self.channels * pixels, self.cache_folder, prefix=self.prefix)
        return self._keep_cache(fits)

    def _keep_cache(self, fits: bool) -> bool:
        self.cache = self.cache if fits else None
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
        self._npy_files = [self.cache_folder / f"{_hash_place(path)}.npy" for path in default]


def _hash_place(path: Path) -> str:
    """Hash the place of an image in the project's data, such as prepared/images/train/a.npy.

    Its number would not do: Ultralytics sorts images of one shape otherwise on other processors, and a
    training may go on elsewhere.
    """
    return hashlib.sha256("/".join(path.parts[-4:]).encode()).hexdigest()[:32]


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

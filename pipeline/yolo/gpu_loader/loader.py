"""Train images that live in the device's memory and are augmented there, a batch at a time.

Stands in for Ultralytics' loader of train images of `detect`: the same batches, drawn by the same rules from
the same ranges, each image resampled once. Why, and what it was tested for: docs/decisions/gpu.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.runtime.memory import available
from pipeline.yolo.gpu_loader import mosaic, parameters, warp
from pipeline.yolo.gpu_loader.mosaic import BoxTable, look_back
from pipeline.yolo.gpu_loader.parameters import BatchParameters
from pipeline.yolo.gpu_loader.ultralytics_ranges import UnsupportedError, read
from pipeline.yolo.gpu_loader.warp import GpuImageStore, WarpBatch, at_once

LOG = logging.getLogger("ultralytics")

SHARE: Final = 0.25
"""Of the device's free memory: what the images may take, beside the network and what passes through it."""

REHEARSED: Final = 4
TOLERANCE: Final = 0.5
"""Outputs that are compared with the CPU's before a device is trusted, and by how many grey levels they may
differ in the mean."""


class GpuLoader:
    """A loader of train images on a device.

    Args:
        loader: Ultralytics' own, of whose dataset, batch size and random generator this takes over.
        device: Where the images go.

    Raises:
        Unsuited: They do not fit, or are augmented in ways that are not known here.
    """

    num_workers: Final = 0

    def __init__(self, loader: Any, device: torch.device) -> None:
        read(loader.dataset)
        self.dataset, self.generator, self.sampler = loader.dataset, loader.generator, loader.sampler
        self.batch_size, self.drop_last, self.batches = loader.batch_size, loader.drop_last, len(loader)
        self.side, self.device = int(self.dataset.imgsz), device
        self.sizes = _sizes(self.dataset)
        _refuse_too_many(self.sizes, device)
        self.annotations = _annotations(self.dataset.labels)
        self.coming: Iterator[BatchParameters] = iter(())
        self.ready: dict[str, Any] | None = None
        self.store = GpuImageStore(self.sizes, device)
        self._fill(self.store, range(len(self.sizes)))

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Draw an epoch from the generator, and yield its batches."""
        ranges = read(self.dataset)  # anew: mosaics end before the training does
        order = torch.randperm(len(self.sizes), generator=self.generator).numpy()
        seed = int(torch.randint(2**62, (1,), generator=self.generator))
        draws = parameters.draw(order, self.sizes, ranges, np.random.default_rng(seed))
        starts = range(0, self.batches * self.batch_size, self.batch_size)
        self.coming = (draws.rows(slice(start, start + self.batch_size)) for start in starts)
        self.ready = None
        for _ in starts:
            batch, self.ready = self.ready or self.batch(next(self.coming)), None
            yield batch

    def make_ready(self) -> None:
        """Make the epoch's next batch, if there is one: while the device is busy it waits for nothing."""
        if self.ready is None and (draws := next(self.coming, None)):
            self.ready = self.batch(draws)

    def reset(self) -> None:
        """Do nothing: nothing was drawn ahead of the epoch."""

    def close(self) -> None:
        """Give the memory back."""
        self.store, self.ready = GpuImageStore(np.zeros((0, 2), np.int64), self.device), None

    def batch(self, draws: BatchParameters) -> dict[str, Any]:
        """Make the batch that Ultralytics' collate function would, the images on the device already."""
        chosen = draws.sources[:, 0].tolist()
        placed = mosaic.place(draws, self.sizes, self.side)
        boxes, classes, images = mosaic.boxes(draws, placed, self.annotations, self.sizes, self.side)
        labels = [self.dataset.labels[index] for index in chosen]
        return {
            "batch_idx": self._sent(images),
            "bboxes": self._sent(boxes),
            "cls": self._sent(classes[:, None]),
            "im_file": tuple(label["im_file"] for label in labels),
            "img": self._render(self.store, draws),
            "ori_shape": tuple(label["shape"] for label in labels),
            "ratio_pad": tuple(self._ratio(index) for index in chosen),
            "resized_shape": ((self.side, self.side),) * len(chosen),
        }

    def rehearse(self) -> None:
        """Make a few outputs on the device and on the CPU, and compare them.

        Raises:
            Unsuited: They differ.
        """
        order = np.arange(len(self.sizes))[:REHEARSED]
        draws = parameters.draw(order, self.sizes, read(self.dataset), np.random.default_rng(0))
        used, sources = np.unique(draws.sources, return_inverse=True)
        few = GpuImageStore(self.sizes[used], torch.device("cpu"))
        self._fill(few, used.tolist())
        there = self._render(self.store, draws).cpu()
        near = draws._replace(sources=sources.reshape(draws.sources.shape))
        here = self._render(few, near)
        off = float((there.float() - here.float()).abs().mean())
        if not off <= TOLERANCE:
            raise UnsupportedError(f"{self.device} gives pictures {off:.1f} grey levels off the CPU's")

    def _fill(self, store: GpuImageStore, indices: Any) -> None:
        def put(place: int, index: int) -> None:
            store.put(place, self.dataset.load_image(index)[0])

        with ThreadPool(min(8, os.cpu_count() or 1)) as pool:  # each holds an image, and none piles up
            pool.starmap(put, enumerate(indices))

    def _ratio(self, index: int) -> tuple[float, float]:
        height, width = self.dataset.labels[index]["shape"]
        return float(self.sizes[index, 1]) / height, float(self.sizes[index, 0]) / width

    def _sent(self, values: NDArray[Any]) -> torch.Tensor:
        return warp.sent(values.astype(np.float32), self.device)

    def _render(self, store: GpuImageStore, draws: BatchParameters) -> torch.Tensor:
        step = at_once(self.side, store.device)
        parts = [draws.rows(slice(start, start + step)) for start in range(0, len(draws.zoom), step)]
        return torch.cat([self._rendered(store, part) for part in parts])

    def _rendered(self, store: GpuImageStore, draws: BatchParameters) -> torch.Tensor:
        order = WarpBatch(
            sources=draws.sources,
            placed=mosaic.place(draws, store.sizes, self.side),
            back=look_back(draws, self.side),
            tables=mosaic.tables(draws.gains) if draws.gains.any() else None,
            bgr=draws.bgr,
        )
        return warp.render(store, order, self.side)


def chosen(trainer: Any) -> Any:
    """Return the loader of a trainer's train images, or a resident one where that pays."""
    once = trainer.train_loader.dataset.store is not None  # what frozen layers say of each image is kept
    short = getattr(trainer, "_oom_retries", 0)  # of memory, so Ultralytics begins anew with a smaller batch
    if not trainer.job.fast or trainer.device.type not in trainer.resident_on or once or short:
        return trainer.train_loader
    return instead_of(trainer.train_loader, trainer.device)


def instead_of(loader: Any, device: torch.device) -> Any:
    """Return a resident loader, or Ultralytics' own with a word why.

    Args:
        loader: Ultralytics' loader of train images; its processes have not been started.
        device: Where the training is.
    """
    try:
        found = GpuLoader(loader, device)
        found.rehearse()
    except UnsupportedError as reason:
        LOG.info(f"Train images stay with the loader's processes: {reason}")
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        LOG.warning(f"Train images stay with the loader's processes: {device} failed with them ({first})")
    else:
        loader.dataset.forget_images()  # the device has them
        return found
    return loader


def _sizes(dataset: Any) -> NDArray[np.int64]:
    """Return width and height of each image as Ultralytics' load_image resizes it: the long side to imgsz."""
    heights_widths = np.array([label["shape"] for label in dataset.labels], np.int64)
    shrunk = np.ceil(heights_widths * (dataset.imgsz / heights_widths.max(axis=1, keepdims=True)))
    found: NDArray[np.int64] = np.minimum(shrunk, dataset.imgsz).astype(np.int64)[:, ::-1]
    return found


def _refuse_too_many(sizes: NDArray[np.int64], device: torch.device) -> None:
    needed = 4 * int(sizes.prod(axis=1).sum())
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available()
    if needed > SHARE * free:
        raise UnsupportedError(
            f"their {needed / 2**30:.1f} GB are more than {SHARE:.0%} of what is free on {device}"
        )


def _annotations(labels: list[dict[str, Any]]) -> BoxTable:
    boxes = np.concatenate([label["bboxes"] for label in labels]).astype(np.float64)
    classes = np.concatenate([label["cls"].reshape(-1) for label in labels]).astype(np.float64)
    counts = [len(label["cls"]) for label in labels]
    return BoxTable(boxes, classes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

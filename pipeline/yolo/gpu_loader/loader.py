"""Loader that keeps train images in GPU memory and augments them there, one batch at a time.

Replaces Ultralytics' loader of the train images of `detect` where finetune.fast=gpu: the same batches, with
parameters drawn by the same rules from the same ranges; each image is resampled once. It has not run on a
GPU yet. Reasons and tests: docs/decisions/gpu.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.arrays import IntArray
from pipeline.runtime.memory import read_available_memory
from pipeline.runtime.progress import print_notice
from pipeline.runtime.worker_count import choose_worker_count
from pipeline.yolo.gpu_loader.mosaic import (
    BoxTable,
    build_color_tables,
    invert_matrices,
    place_tiles,
    transform_boxes,
)
from pipeline.yolo.gpu_loader.parameters import BatchParameters, draw_parameters
from pipeline.yolo.gpu_loader.ultralytics_ranges import UnsupportedError, read_ranges
from pipeline.yolo.gpu_loader.warp import (
    GpuImageStore,
    WarpBatch,
    choose_chunk_size,
    copy_to_device,
    render_batch,
)
from pipeline.yolo.repeat_factors import RepeatFactorSampler

MAX_MEMORY_SHARE: Final = 0.25
"""Share of the device's free memory that the images may use; network and activations need the rest."""

TEST_IMAGES: Final = 4
"""Images that are rendered on the device and on the CPU and compared, before the device is used."""

MAX_GRAY_DIFFERENCE: Final = 0.5
"""Gray levels by which these images may differ in the mean."""


class GpuLoader:
    """A loader that keeps and augments train images on a device.

    Args:
        loader: Ultralytics' loader, whose dataset, batch size and random generator are used.
        device: The device for the images.

    Raises:
        UnsupportedError: The images do not fit, or need a transform that this loader does not have.
    """

    num_workers: Final = 0

    def __init__(self, loader: Any, device: torch.device) -> None:
        read_ranges(loader.dataset)
        self.dataset, self.generator, self.sampler = loader.dataset, loader.generator, loader.sampler
        self.batch_size, self.drop_last, self.batches = loader.batch_size, loader.drop_last, len(loader)
        self.side, self.device = int(self.dataset.imgsz), device
        self.sizes = _resized_sizes(self.dataset)
        _check_memory(self.sizes, device)
        self.annotations = _collect_boxes(self.dataset.labels)
        self.remaining: Iterator[BatchParameters] = iter(())
        self.prefetched: dict[str, Any] | None = None
        self.store = GpuImageStore(self.sizes, device)
        self._fill(self.store, range(len(self.sizes)))

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Draw the parameters of an epoch from the generator, and yield its batches."""
        ranges = read_ranges(self.dataset)  # again in each epoch: mosaics end before the training
        order = self._draw_order()
        seed = int(torch.randint(2**62, (1,), generator=self.generator))
        epoch = draw_parameters(order, self.sizes, ranges, np.random.default_rng(seed))
        starts = range(0, self.batches * self.batch_size, self.batch_size)
        self.remaining = (epoch.select_rows(slice(start, start + self.batch_size)) for start in starts)
        self.prefetched = None
        for _ in starts:
            batch, self.prefetched = self.prefetched or self.build_batch(next(self.remaining)), None
            yield batch

    def prefetch_batch(self) -> None:
        """Build the next batch of the epoch, if there is one, while the device is still busy."""
        if self.prefetched is None and (parameters := next(self.remaining, None)):
            self.prefetched = self.build_batch(parameters)

    def reset(self) -> None:
        """Do nothing: this loader draws nothing ahead of the epoch."""

    def close(self) -> None:
        """Release the device's memory."""
        self.store, self.prefetched = GpuImageStore(np.zeros((0, 2), np.int64), self.device), None

    def build_batch(self, parameters: BatchParameters) -> dict[str, Any]:
        """Build a batch as Ultralytics' collate function does, with the images on the device."""
        indices = parameters.sources[:, 0].tolist()
        tiles = place_tiles(parameters, self.sizes, self.side)
        boxes, classes, images = transform_boxes(parameters, tiles, self.annotations, self.sizes, self.side)
        labels = [self.dataset.labels[index] for index in indices]
        return {
            "batch_idx": self._to_device(images),
            "bboxes": self._to_device(boxes),
            "cls": self._to_device(classes[:, None]),
            "im_file": tuple(label["im_file"] for label in labels),
            "img": self._render(self.store, parameters),
            "ori_shape": tuple(label["shape"] for label in labels),
            "ratio_pad": tuple(self._resize_ratio(index) for index in indices),
            "resized_shape": ((self.side, self.side),) * len(indices),
        }

    def compare_with_cpu(self) -> None:
        """Render a few images on the device and on the CPU, and compare them.

        Raises:
            UnsupportedError: They differ.
        """
        order = np.arange(len(self.sizes))[:TEST_IMAGES]
        ranges = read_ranges(self.dataset)
        parameters = draw_parameters(order, self.sizes, ranges, np.random.default_rng(0))
        used, sources = np.unique(parameters.sources, return_inverse=True)
        cpu_store = GpuImageStore(self.sizes[used], torch.device("cpu"))
        self._fill(cpu_store, used.tolist())
        on_device = self._render(self.store, parameters).cpu()
        renumbered = parameters._replace(sources=sources.reshape(parameters.sources.shape))
        on_cpu = self._render(cpu_store, renumbered)
        difference = float((on_device.float() - on_cpu.float()).abs().mean())
        if not difference <= MAX_GRAY_DIFFERENCE:
            raise UnsupportedError(
                f"images from {self.device} differ from those of the CPU by {difference:.1f} gray levels"
            )

    def _draw_order(self) -> IntArray:
        """Draw the indices of the images of an epoch."""
        if isinstance(self.sampler, RepeatFactorSampler):
            return np.array(self.sampler.draw_epoch(self.generator), np.int64)
        order: IntArray = torch.randperm(len(self.sizes), generator=self.generator).numpy()
        return order

    def _fill(self, store: GpuImageStore, indices: Any) -> None:
        def put(position: int, index: int) -> None:
            store.put_image(position, self.dataset.load_image(index)[0])

        with ThreadPool(choose_worker_count(limit=8)) as pool:  # each thread holds one image at a time
            pool.starmap(put, enumerate(indices))

    def _resize_ratio(self, index: int) -> tuple[float, float]:
        height, width = self.dataset.labels[index]["shape"]
        return float(self.sizes[index, 1]) / height, float(self.sizes[index, 0]) / width

    def _to_device(self, values: NDArray[Any]) -> torch.Tensor:
        return copy_to_device(values.astype(np.float32), self.device)

    def _render(self, store: GpuImageStore, parameters: BatchParameters) -> torch.Tensor:
        count, step = len(parameters.scale), choose_chunk_size(self.side, store.device)
        chunks = [parameters.select_rows(slice(start, start + step)) for start in range(0, count, step)]
        return torch.cat([self._render_chunk(store, chunk) for chunk in chunks])

    def _render_chunk(self, store: GpuImageStore, parameters: BatchParameters) -> torch.Tensor:
        batch = WarpBatch(
            sources=parameters.sources,
            tiles=place_tiles(parameters, store.sizes, self.side),
            inverse=invert_matrices(parameters, self.side),
            color_tables=build_color_tables(parameters.gains) if parameters.gains.any() else None,
            bgr=parameters.bgr,
        )
        return render_batch(store, batch, self.side)


def choose_train_loader(trainer: Any) -> Any:
    """Return the GPU loader where finetune.fast=gpu asks for it and it pays, else Ultralytics' loader.

    A line says why it is Ultralytics', on a device that the GPU loader is made for. A resumed training keeps
    Ultralytics' loader if it began with it: the two draw different random numbers.
    """
    loader, device = trainer.train_loader, trainer.device
    read_once = loader.dataset.feature_store is not None  # later epochs need no image
    if trainer.job.fast != "gpu" or device.type not in trainer.gpu_loader_devices or read_once:
        return loader
    if reason := _explain_stock_loader(trainer):
        if trainer.member.rank == 0:
            _report_stock_loader(reason)
        return loader
    return try_gpu_loader(loader, device)


def _explain_stock_loader(trainer: Any) -> str:
    """Explain why the state of a training needs Ultralytics' loader; empty where it does not."""
    if trainer.world_size > 1:
        return "each process has a part of them, in an order that the GPU loader does not know"
    if getattr(trainer, "_oom_retries", 0):  # Ultralytics tries again with a smaller batch
        return "the GPU had too little memory"
    effective = trainer.state["effective"] if trainer.state else {}
    began = effective.get("sessions", [effective])[0].get("loader")
    if began == read_loader_kind(trainer.train_loader):
        return "the training began with them"
    return ""


def read_loader_kind(loader: Any) -> str:
    """Return resident for the GPU loader, processes for Ultralytics'."""
    return "resident" if isinstance(loader, GpuLoader) else "processes"


def _report_stock_loader(reason: str) -> None:
    print_notice(f"finetune: train images stay with the loader's processes: {reason}")


def try_gpu_loader(loader: Any, device: torch.device) -> Any:
    """Return the GPU loader. Where that is not possible, print why and return Ultralytics' loader.

    Args:
        loader: Ultralytics' loader of train images, before its worker processes were started.
        device: The device of the training.
    """
    try:
        gpu_loader = GpuLoader(loader, device)
        gpu_loader.compare_with_cpu()
    except UnsupportedError as reason:
        _report_stock_loader(str(reason))
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        _report_stock_loader(f"{device} failed with them ({first})")
    else:
        loader.dataset.release_images()  # the device has them
        return gpu_loader
    return loader


def _resized_sizes(dataset: Any) -> NDArray[np.int64]:
    """Return width and height of each image as Ultralytics' load_image resizes it: the long side to imgsz."""
    heights_widths = np.array([label["shape"] for label in dataset.labels], np.int64)
    shrunk = np.ceil(heights_widths * (dataset.imgsz / heights_widths.max(axis=1, keepdims=True)))
    sizes: NDArray[np.int64] = np.minimum(shrunk, dataset.imgsz).astype(np.int64)[:, ::-1]
    return sizes


def _check_memory(sizes: NDArray[np.int64], device: torch.device) -> None:
    needed = 4 * int(sizes.prod(axis=1).sum())
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else read_available_memory()
    if needed > MAX_MEMORY_SHARE * free:
        raise UnsupportedError(
            f"their {needed / 2**30:.1f} GB are more than {MAX_MEMORY_SHARE:.0%} of what is free on {device}"
        )


def _collect_boxes(labels: list[dict[str, Any]]) -> BoxTable:
    boxes = np.concatenate([label["bboxes"] for label in labels]).astype(np.float64)
    classes = np.concatenate([label["cls"].reshape(-1) for label in labels]).astype(np.float64)
    counts = [len(label["cls"]) for label in labels]
    return BoxTable(boxes, classes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

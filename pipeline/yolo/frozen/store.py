"""Store for the frozen layers' outputs for each image of a split: in memory, on disk or on a GPU."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from pipeline.runtime.memory import read_available_memory
from pipeline.storage.disk_space import count_free_bytes

MAX_FREE_MEMORY_SHARE: Final = 0.25
"""Share of the free memory for one split: there are two, and a sweep may run several trainings at once."""
MAX_FREE_DISK_SHARE: Final = 0.5
"""Share of the free disk space for one split."""
ALIGNMENT_BYTES: Final = 64
"""Each output starts at a multiple of so many bytes."""
BLANK_IMAGE: Final = torch.zeros(3, 1, 1)
CPU: Final = torch.device("cpu")


class CacheLimits(NamedTuple):
    """How many bytes one split may use: on the network's GPU, else in memory or on the disk."""

    memory: int
    disk: int
    gpu: int = 0


class CachedSamplesMixin:
    """A dataset that stores its samples once, and then returns them without reading the image.

    A mixin before Ultralytics' dataset. It stores samples as soon as a feature store is attached.
    """

    feature_store: FeatureStore | None = None

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a sample, with its index where a feature store needs it."""
        store = self.feature_store
        if store is not None and store.is_complete:
            return store.read_sample(index)
        sample: dict[str, Any] = super().__getitem__(index)  # type: ignore[misc]
        if store is not None:
            sample["index"] = index
            store.write_sample(index, sample)
        return sample


class ByteStore(NamedTuple):
    """Bytes in memory, on the disk or on a GPU; `place` says where."""

    place: str
    contents: torch.Tensor


class StoredOutput(NamedTuple):
    """Position of one layer's output for one image. The shape is (h, w, c) in NHWC, else (c, h, w)."""

    start: int
    stop: int
    shape: torch.Size
    dtype: torch.dtype
    nhwc: bool


class FeatureStore:
    """The frozen layers' outputs for the images of one split, and the images' samples without pixels.

    Both are written in the first epoch, and read back bit for bit in all later epochs.
    """

    def __init__(
        self, input_sizes: Sequence[tuple[int, int]], layers: Collection[int], *, storage: ByteStore
    ) -> None:
        """Create an empty store.

        Args:
            input_sizes: Height and width of each image at the network's input.
            layers: The layers whose outputs are stored.
            storage: The bytes for them.
        """
        self.input_sizes, self.layers, self.storage = input_sizes, frozenset(layers), storage
        self.samples: dict[int, dict[str, Any]] = {}
        self.outputs: dict[int, dict[int, StoredOutput]] = {}
        self._end = 0

    @property
    def is_complete(self) -> bool:
        """Tell whether the outputs and the sample of every image are stored."""
        return len(self.outputs) == len(self.input_sizes) == len(self.samples)

    def write_sample(self, index: int, sample: Mapping[str, Any]) -> None:
        """Store a sample of the dataset, without its pixels."""
        self.samples[index] = _copy_sample({**sample, "img": BLANK_IMAGE})

    def read_sample(self, index: int) -> dict[str, Any]:
        """Return a sample; its image is a single pixel."""
        return _copy_sample(self.samples[index])

    def write_outputs(self, indices: Sequence[int], outputs: Mapping[int, torch.Tensor]) -> None:
        """Store the outputs for a batch of images. Images that are stored already are skipped.

        Args:
            indices: Of the images.
            outputs: By layer, (b, c, h, w).
        """
        for row, index in enumerate(indices):
            if index not in self.outputs:
                self.outputs[index] = {layer: self._write(outputs[layer][row]) for layer in self.layers}

    def read_outputs(self, indices: Sequence[int], device: torch.device) -> dict[int, torch.Tensor]:
        """Return the stored outputs for a batch of images, by layer, (b, c, h, w)."""
        rows = [self.outputs[index] for index in indices]
        outputs = {}
        for layer, first in rows[0].items():
            batch = torch.stack([self._read(row[layer]) for row in rows]).to(device)
            outputs[layer] = batch.permute(0, 3, 1, 2) if first.nhwc else batch
        return outputs

    def _write(self, output: torch.Tensor) -> StoredOutput:
        nhwc = not output.is_contiguous()
        plain = (output.permute(1, 2, 0) if nhwc else output).contiguous()
        start, stop = self._end, self._end + plain.nbytes
        self.storage.contents[start:stop].copy_(plain.flatten().view(torch.uint8))
        self._end = start + align_size(output.nbytes)
        return StoredOutput(start, stop, plain.shape, plain.dtype, nhwc)

    def _read(self, output: StoredOutput) -> torch.Tensor:
        return self.storage.contents[output.start : output.stop].view(output.dtype).view(output.shape)


def reserve_bytes(
    size: int, *, extra_memory: int = 0, folder: Path, limits: CacheLimits, device: torch.device = CPU
) -> ByteStore | None:
    """Reserve bytes in memory, or else on the disk. Return None where there is not enough space.

    For a network on a GPU: in the GPU's memory or not at all. From elsewhere the outputs of a batch would
    arrive no faster than they are computed, and the GPU would wait for them.

    Args:
        size: Bytes for a whole split.
        extra_memory: Bytes that are kept in memory in any case.
        folder: For the file. It is unlinked once it is open, so it does not outlive the process, and nobody
            can replace it.
        limits: How many bytes may be used.
        device: The device of the network.
    """
    if device.type == "cuda":
        fits = size <= limits.gpu and extra_memory <= limits.memory
        return ByteStore(str(device), torch.empty(size, dtype=torch.uint8, device=device)) if fits else None
    if size + extra_memory <= limits.memory:
        return ByteStore("memory", torch.empty(size, dtype=torch.uint8))
    fits_on_disk = size <= limits.disk and extra_memory <= limits.memory
    file = _map_file(folder, size) if fits_on_disk else None
    return None if file is None else ByteStore("disk", file)


def measure_cache_limits(folder: Path, device: torch.device) -> CacheLimits:
    """Return how much one split may use, from what is free now."""
    memory, disk = read_available_memory(), count_free_bytes(folder)
    gpu = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    share = MAX_FREE_MEMORY_SHARE
    return CacheLimits(int(share * memory), int(MAX_FREE_DISK_SHARE * disk), int(share * gpu))


def align_size(size: int) -> int:
    """Round bytes up to where the next output may start."""
    return math.ceil(size / ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _map_file(folder: Path, size: int) -> torch.Tensor | None:
    """Map a file whose blocks are allocated: on a full disk, writing to a sparse file kills the process.

    Returns:
        None where the disk is too small, or the system cannot allocate blocks.
    """
    if not hasattr(os, "posix_fallocate"):
        return None
    path = folder / "frozen.bin"
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        return torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)
    except OSError:
        return None
    finally:
        path.unlink(missing_ok=True)


def _copy_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a sample's tensors: collating changes them in place."""
    return {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in sample.items()}

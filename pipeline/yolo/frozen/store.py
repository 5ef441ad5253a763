"""What the frozen layers said of each image of a split, kept for later epochs: in memory, on disk or GPU."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from pipeline.runtime.memory import available

MEMORY: Final = 0.25
"""Share of the memory that is free: there are two splits, and a sweep may run several trainings at once."""
DISK: Final = 0.5
"""Share of the disk that is free."""
ALIGNED: Final = 64
"""Bytes that each output begins at a multiple of."""
BLANK: Final = torch.zeros(3, 1, 1)
CPU: Final = torch.device("cpu")


class CacheLimits(NamedTuple):
    """How many bytes one split may take: of the GPU that the network is on, else of memory or the disk."""

    memory: int
    disk: int
    gpu: int = 0


class CachedSamplesMixin:
    """A dataset whose samples are noted once, and then given without a look at the image.

    It goes before Ultralytics' dataset, with a store from the moment on that one is attached.
    """

    store: FeatureStore | None = None

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a sample, with its index where a store asks for it."""
        if self.store is not None and self.store.complete:
            return self.store.sample(index)
        sample: dict[str, Any] = super().__getitem__(index)  # type: ignore[misc]
        if self.store is not None:
            sample["index"] = index
            self.store.note_sample(index, sample)
        return sample


class ByteStore(NamedTuple):
    """Bytes in memory, on the disk or on a GPU."""

    place: str
    contents: torch.Tensor


class StoredOutput(NamedTuple):
    """Where one layer's output for one image lies: shape is (h, w, c) in NHWC, else (c, h, w)."""

    start: int
    stop: int
    shape: torch.Size
    dtype: torch.dtype
    nhwc: bool


class FeatureStore:
    """The frozen layers' outputs for the images of one split, and the images' samples without the images.

    Both are noted in the first epoch as they come by, and given back bit for bit in all later ones.
    """

    def __init__(
        self, extents: Sequence[tuple[int, int]], layers: Collection[int], *, kept: ByteStore
    ) -> None:
        """Make an empty store.

        Args:
            extents: Height and width of each image as it enters the network.
            layers: Those whose outputs are asked for.
            kept: Where.
        """
        self.extents, self.layers, self.kept = extents, frozenset(layers), kept
        self.samples: dict[int, dict[str, Any]] = {}
        self.outputs: dict[int, dict[int, StoredOutput]] = {}
        self._end = 0

    @property
    def complete(self) -> bool:
        """Tell whether every image has been noted."""
        return len(self.outputs) == len(self.extents) == len(self.samples)

    def note_sample(self, index: int, sample: Mapping[str, Any]) -> None:
        """Keep what the dataset says of an image, without its pixels."""
        self.samples[index] = _copied({**sample, "img": BLANK})

    def sample(self, index: int) -> dict[str, Any]:
        """Give back a sample, its image a single pixel."""
        return _copied(self.samples[index])

    def note(self, indices: Sequence[int], outputs: Mapping[int, torch.Tensor]) -> None:
        """Keep the outputs for a batch of images.

        Args:
            indices: Of the images.
            outputs: By layer, (b, c, h, w).
        """
        for row, index in enumerate(indices):
            if index not in self.outputs:
                self.outputs[index] = {layer: self._write(outputs[layer][row]) for layer in self.layers}

    def recall(self, indices: Sequence[int], device: torch.device) -> dict[int, torch.Tensor]:
        """Give back the outputs for a batch of images, by layer, as they were."""
        rows = [self.outputs[index] for index in indices]
        found = {}
        for layer, first in rows[0].items():
            batch = torch.stack([self._read(row[layer]) for row in rows]).to(device)
            found[layer] = batch.permute(0, 3, 1, 2) if first.nhwc else batch
        return found

    def _write(self, output: torch.Tensor) -> StoredOutput:
        nhwc = not output.is_contiguous()
        plain = (output.permute(1, 2, 0) if nhwc else output).contiguous()
        start, stop = self._end, self._end + plain.nbytes
        self.kept.contents[start:stop].copy_(plain.flatten().view(torch.uint8))
        self._end = start + aligned(output.nbytes)
        return StoredOutput(start, stop, plain.shape, plain.dtype, nhwc)

    def _read(self, output: StoredOutput) -> torch.Tensor:
        return self.kept.contents[output.start : output.stop].view(output.dtype).view(output.shape)


def reserve(
    size: int, *, beside: int = 0, folder: Path, room: CacheLimits, device: torch.device = CPU
) -> ByteStore | None:
    """Take so many bytes of memory, or else of the disk; None where there is no room.

    For a network on a GPU, of the GPU's memory or not at all: from elsewhere the outputs of a batch would
    come no faster than they are computed, with the GPU waiting for them.

    Args:
        size: Of a whole split.
        beside: Bytes that are kept in memory wherever these are.
        folder: For the file. It has no name once it is open: nothing of it outlives the process, and nobody
            can slip another one in.
        room: The bounds.
        device: Where the network is.
    """
    if device.type == "cuda":
        fits = size <= room.gpu and beside <= room.memory
        return ByteStore(str(device), torch.empty(size, dtype=torch.uint8, device=device)) if fits else None
    if size + beside <= room.memory:
        return ByteStore("memory", torch.empty(size, dtype=torch.uint8))
    file = _file(folder, size) if size <= room.disk and beside <= room.memory else None
    return None if file is None else ByteStore("disk", file)


def free(folder: Path, device: torch.device) -> CacheLimits:
    """Return the bounds, from what is free now."""
    memory, disk = available(), shutil.disk_usage(folder).free
    gpu = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    return CacheLimits(int(MEMORY * memory), int(DISK * disk), int(MEMORY * gpu))


def aligned(size: int) -> int:
    """Round bytes up to where the next output may begin."""
    return math.ceil(size / ALIGNED) * ALIGNED


def _file(folder: Path, size: int) -> torch.Tensor | None:
    """Map a file whose blocks are all there: a full disk would kill a process that writes to a hole.

    Returns:
        None where the disk has not that much, or the system cannot say.
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


def _copied(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a sample's tensors: collating adds to them in place."""
    return {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in sample.items()}

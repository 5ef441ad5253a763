"""Canvases, warps and colours of whole batches, on the device that holds the images.

A pixel is one word of 32 bits (blue, green, red, nothing), so that one read fetches it whole. The warp is as
OpenCV's warpAffine and warpPerspective have it: between the four nearest pixels, grey outside, in 8 bits.
Colours go through 8-bit HSV by OpenCV's own integer arithmetic (modules/imgproc/src/color_hsv.simd.hpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.yolo.gpu_loader.mosaic import TilePlacement

GREY: Final = 114 * 0x010101
SHIFT: Final = 12
"""Of OpenCV's fixed point: divisions are multiplications by rounded 2**12 / n."""


class WarpBatch(NamedTuple):
    """What to make of n canvases.

    Args:
        sources: (n, 4) images.
        placed: Where they lie.
        back: (n, 3, 3) from pixels of the output to those of the canvas.
        tables: (n, 3, 256) for hue, saturation and value; None where colours stay.
        bgr: (n,) whether channels keep OpenCV's order.
    """

    sources: NDArray[np.int64]
    placed: TilePlacement
    back: NDArray[np.float64]
    tables: NDArray[np.uint8] | None
    bgr: NDArray[np.bool_]


class GpuImageStore:
    """Images on a device, one after the other."""

    def __init__(self, sizes: NDArray[np.int64], device: torch.device) -> None:
        self.sizes, self.device = sizes, device
        self.starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
        self.words = torch.empty(int(self.starts[-1]), dtype=torch.int32, device=device)

    def put(self, index: int, image: NDArray[np.uint8]) -> None:
        """Keep an image (height, width, 3).

        Raises:
            ValueError: It has another size than was said.
        """
        expected = (*self.sizes[index, ::-1].tolist(), 3)
        if image.shape != expected:
            raise ValueError(f"an image of shape {image.shape} instead of {expected}")
        words = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).view(np.int32)[..., 0]
        self.image(index).copy_(torch.from_numpy(words))

    def image(self, index: int) -> torch.Tensor:
        """Return an image's words, (height, width)."""
        width, height = self.sizes[index].tolist()
        return self.words[self.starts[index] : self.starts[index + 1]].view(height, width)


def render(store: GpuImageStore, order: WarpBatch, side: int) -> torch.Tensor:
    """Return the output of n canvases, (n, 3, side, side) of 8 bits: red, green, blue.

    Args:
        store: The images.
        order: What to make of them.
        side: Of the output.
    """
    pixels = _sampled(_canvases(store, order, side), *_places(order.back, side, store.device))
    if order.tables is not None:
        pixels = recoloured(pixels, sent(order.tables, store.device))
    turned = pixels.flip(-1)
    if order.bgr.any():
        turned = torch.where(sent(order.bgr, store.device)[:, None, None, None], pixels, turned)
    return turned.permute(0, 3, 1, 2).contiguous()


def sent(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy to the device without waiting for what it is doing."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda" and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


def at_once(side: int, device: torch.device) -> int:
    """Return how many outputs are made at a time: on a GPU many, as each step costs a launch; else few."""
    return max(1, (2**26 if device.type == "cuda" else 2**21) // (2 * side + 3) ** 2)


def _canvases(store: GpuImageStore, order: WarpBatch, side: int) -> torch.Tensor:
    """Return (n, 2 side + 3, 2 side + 3) words: grey all around, so that every neighbour is there."""
    count, wide = len(order.sources), 2 * side + 3
    canvas = torch.full((count, wide, wide), GREY, dtype=torch.int32, device=store.device)
    for height, width, stride, first, target in _patches(store, order, wide):
        part = store.words.as_strided((height, width), (stride, 1), first)
        canvas.as_strided((height, width), (wide, 1), target).copy_(part)
    return canvas


def _patches(store: GpuImageStore, order: WarpBatch, wide: int) -> list[list[int]]:
    """List what is seen of each image: height, width, the image's width, its first word, where that goes."""
    x1, y1, x2, y2 = np.moveaxis(order.placed.seen, -1, 0)
    left, top = np.moveaxis(order.placed.offset, -1, 0)
    stride = store.sizes[order.sources, 0]
    first = store.starts[order.sources] + (y1 - top) * stride + x1 - left
    target = (np.arange(len(x1))[:, None] * wide + y1 + 1) * wide + x1 + 1
    rows = np.stack([y2 - y1, x2 - x1, stride, first, target], axis=-1).reshape(-1, 5)
    listed: list[list[int]] = rows[(rows[:, :2] > 0).all(axis=1)].tolist()
    return listed


def _sampled(canvas: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return (n, side, side, 3) of 8 bits, each pixel from the four nearest of the canvas."""
    count, wide, _ = canvas.shape
    x, y = x.clamp_(-1, wide - 3), y.clamp_(-1, wide - 3)
    left, top = x.floor(), y.floor()
    corner = (top.int() + 1) * wide + left.int() + 1
    corner += torch.arange(count, dtype=torch.int32, device=canvas.device)[:, None, None] * wide * wide
    across, down = (x - left)[..., None], (y - top)[..., None]
    near = torch.lerp(_read(canvas, corner), _read(canvas, corner + 1), across)
    far = torch.lerp(_read(canvas, corner + wide), _read(canvas, corner + wide + 1), across)
    return torch.lerp(near, far, down).round_().to(torch.uint8)


def _places(back: NDArray[np.float64], side: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where on the canvas each pixel of the output comes from: x and y, (n, side, side)."""
    steps = torch.arange(side, dtype=torch.float32, device=device)
    entries = sent(back.astype(np.float32), device)[..., None, None]
    x, y, depth = (
        entries[:, row, 0] * steps + (entries[:, row, 1] * steps[:, None] + entries[:, row, 2])
        for row in range(3)
    )
    return x / depth, y / depth


def _read(canvas: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    words = canvas.view(-1).index_select(0, index.flatten())
    return words[:, None].view(torch.uint8)[:, :3].float().view(*index.shape, 3)


def recoloured(pixels: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Send hue, saturation and value of images through tables.

    Args:
        pixels: (n, height, width, 3) of 8 bits: blue, green, red.
        tables: (n, 3, 256) of 8 bits.
    """
    first = torch.arange(len(pixels), dtype=torch.int32, device=pixels.device)[:, None, None] * 768
    flat = tables.view(-1)
    hue, saturation, value = (
        flat.index_select(0, (plane + first + 256 * channel).flatten()).view(plane.shape).float()
        for channel, plane in enumerate(_hsv(pixels.int()))
    )
    return _bgr(hue, saturation, value)


def _hsv(pixels: torch.Tensor) -> Sequence[torch.Tensor]:
    """Return hue (0..179), saturation and value of integers, as OpenCV's RGB2HSV_b has them."""
    blue, green, red = pixels.unbind(-1)
    value = pixels.amax(-1)
    spread = value - pixels.amin(-1)
    by_value, by_spread = _reciprocals(pixels.device)
    half = 1 << (SHIFT - 1)
    saturation = (spread * by_value.index_select(0, value.flatten()).view(value.shape) + half) >> SHIFT
    hue = torch.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    hue = torch.where(value == red, green - blue, hue)
    hue = (hue * by_spread.index_select(0, spread.flatten()).view(spread.shape) + half) >> SHIFT
    return torch.where(hue < 0, hue + 180, hue), saturation, value


def _reciprocals(device: torch.device) -> Sequence[torch.Tensor]:
    divisors = np.maximum(np.arange(256), 1)
    shares = [np.where(np.arange(256) > 0, np.rint(whole * 2**SHIFT / divisors), 0) for whole in (255, 30)]
    return [sent(share.astype(np.int32), device) for share in shares]


def _bgr(hue: torch.Tensor, saturation: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return (n, height, width, 3) of 8 bits; fractions are cut off, as OpenCV's vector code does."""
    hue, saturation = hue / 30, saturation / 255
    planes = []
    for turn in (1, 3, 5):
        sixth = (hue + turn) % 6
        weight = torch.minimum(sixth, 4 - sixth).clamp_(0, 1)
        planes.append((value - value * saturation * weight).to(torch.uint8))
    return torch.stack(planes, -1)

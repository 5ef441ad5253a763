"""Mosaic, warp and color changes of whole batches, on the device that holds the images.

A pixel is one word of 32 bits (blue, green, red, unused), so that one read fetches the whole pixel. The warp
is that of OpenCV's warpAffine and warpPerspective: bilinear, gray outside, in 8 bits. Colors go through 8-bit
HSV with OpenCV's own integer arithmetic (modules/imgproc/src/color_hsv.simd.hpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.yolo.gpu_loader.mosaic import TilePlacement

GRAY: Final = 114 * 0x010101
FIXED_POINT_BITS: Final = 12
"""OpenCV's fixed point: a division by n is a multiplication by the rounded 2**12 / n."""


class WarpBatch(NamedTuple):
    """How to render n images.

    Args:
        sources: (n, 4) indices of the images.
        tiles: Their positions on the canvases.
        inverse: (n, 3, 3) from pixels of the output to pixels of the canvas.
        color_tables: (n, 3, 256) for hue, saturation and value; None where colors do not change.
        bgr: (n,) whether channels keep OpenCV's order.
    """

    sources: NDArray[np.int64]
    tiles: TilePlacement
    inverse: NDArray[np.float64]
    color_tables: NDArray[np.uint8] | None
    bgr: NDArray[np.bool_]


class GpuImageStore:
    """All images in one tensor on a device, one after the other."""

    def __init__(self, sizes: NDArray[np.int64], device: torch.device) -> None:
        self.sizes, self.device = sizes, device
        self.starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))])
        self.words = torch.empty(int(self.starts[-1]), dtype=torch.int32, device=device)

    def put_image(self, index: int, image: NDArray[np.uint8]) -> None:
        """Store an image (height, width, 3).

        Raises:
            ValueError: The image has another size than the store expects.
        """
        expected = (*self.sizes[index, ::-1].tolist(), 3)
        if image.shape != expected:
            raise ValueError(f"an image of shape {image.shape} instead of {expected}")
        words = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).view(np.int32)[..., 0]
        self.get_image(index).copy_(torch.from_numpy(words))

    def get_image(self, index: int) -> torch.Tensor:
        """Return the words of an image, (height, width)."""
        width, height = self.sizes[index].tolist()
        return self.words[self.starts[index] : self.starts[index + 1]].view(height, width)


def render_batch(store: GpuImageStore, batch: WarpBatch, side: int) -> torch.Tensor:
    """Render n images, (n, 3, side, side), 8 bits: red, green, blue.

    Args:
        store: The images.
        batch: How to render them.
        side: Side of the output.
    """
    pixels = _sample_bilinear(
        _paste_canvases(store, batch, side), *_canvas_positions(batch.inverse, side, store.device)
    )
    if batch.color_tables is not None:
        pixels = apply_color_tables(pixels, copy_to_device(batch.color_tables, store.device))
    rgb = pixels.flip(-1)
    if batch.bgr.any():
        rgb = torch.where(copy_to_device(batch.bgr, store.device)[:, None, None, None], pixels, rgb)
    return rgb.permute(0, 3, 1, 2).contiguous()


def copy_to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to the device without waiting for the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda" and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


def choose_chunk_size(side: int, device: torch.device) -> int:
    """Choose how many images to render at a time: many on a GPU, where each step costs a kernel launch."""
    return max(1, (2**26 if device.type == "cuda" else 2**21) // (2 * side + 3) ** 2)


def _paste_canvases(store: GpuImageStore, batch: WarpBatch, side: int) -> torch.Tensor:
    """Return (n, 2 side + 3, 2 side + 3) words, with a gray border so that every pixel has neighbors."""
    count, wide = len(batch.sources), 2 * side + 3
    canvas = torch.full((count, wide, wide), GRAY, dtype=torch.int32, device=store.device)
    for height, width, stride, first, target in _list_patches(store, batch, wide):
        part = store.words.as_strided((height, width), (stride, 1), first)
        canvas.as_strided((height, width), (wide, 1), target).copy_(part)
    return canvas


def _list_patches(store: GpuImageStore, batch: WarpBatch, wide: int) -> list[list[int]]:
    """List the visible part of each image: height, width, image width, first word, position on the canvas."""
    x1, y1, x2, y2 = np.moveaxis(batch.tiles.visible, -1, 0)
    left, top = np.moveaxis(batch.tiles.offset, -1, 0)
    stride = store.sizes[batch.sources, 0]
    first = store.starts[batch.sources] + (y1 - top) * stride + x1 - left
    target = (np.arange(len(x1))[:, None] * wide + y1 + 1) * wide + x1 + 1
    rows = np.stack([y2 - y1, x2 - x1, stride, first, target], axis=-1).reshape(-1, 5)
    listed: list[list[int]] = rows[(rows[:, :2] > 0).all(axis=1)].tolist()
    return listed


def _sample_bilinear(canvas: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return (n, side, side, 3), 8 bits, each pixel interpolated from the four nearest of the canvas."""
    count, wide, _ = canvas.shape
    x, y = x.clamp_(-1, wide - 3), y.clamp_(-1, wide - 3)
    left, top = x.floor(), y.floor()
    corner = (top.int() + 1) * wide + left.int() + 1
    corner += torch.arange(count, dtype=torch.int32, device=canvas.device)[:, None, None] * wide * wide
    across, down = (x - left)[..., None], (y - top)[..., None]
    near = torch.lerp(_read_pixels(canvas, corner), _read_pixels(canvas, corner + 1), across)
    far = torch.lerp(_read_pixels(canvas, corner + wide), _read_pixels(canvas, corner + wide + 1), across)
    return torch.lerp(near, far, down).round_().to(torch.uint8)


def _canvas_positions(
    inverse: NDArray[np.float64], side: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the position on the canvas of each pixel of the output: x and y, (n, side, side)."""
    steps = torch.arange(side, dtype=torch.float32, device=device)
    entries = copy_to_device(inverse.astype(np.float32), device)[..., None, None]
    x, y, depth = (
        entries[:, row, 0] * steps + (entries[:, row, 1] * steps[:, None] + entries[:, row, 2])
        for row in range(3)
    )
    return x / depth, y / depth


def _read_pixels(canvas: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    words = canvas.view(-1).index_select(0, index.flatten())
    return words[:, None].view(torch.uint8)[:, :3].float().view(*index.shape, 3)


def apply_color_tables(pixels: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Change hue, saturation and value of images by lookup tables.

    Args:
        pixels: (n, height, width, 3), 8 bits: blue, green, red.
        tables: (n, 3, 256), 8 bits.
    """
    first = torch.arange(len(pixels), dtype=torch.int32, device=pixels.device)[:, None, None] * 768
    flat = tables.view(-1)
    hue, saturation, value = (
        flat.index_select(0, (plane + first + 256 * channel).flatten()).view(plane.shape).float()
        for channel, plane in enumerate(_bgr_to_hsv(pixels.int()))
    )
    return _hsv_to_bgr(hue, saturation, value)


def _bgr_to_hsv(pixels: torch.Tensor) -> Sequence[torch.Tensor]:
    """Return hue (0..179), saturation and value of integers, computed as in OpenCV's RGB2HSV_b."""
    blue, green, red = pixels.unbind(-1)
    value = pixels.amax(-1)
    spread = value - pixels.amin(-1)
    by_value, by_spread = _fixed_point_reciprocals(pixels.device)
    half = 1 << (FIXED_POINT_BITS - 1)
    saturation = (
        spread * by_value.index_select(0, value.flatten()).view(value.shape) + half
    ) >> FIXED_POINT_BITS
    hue = torch.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    hue = torch.where(value == red, green - blue, hue)
    hue = (hue * by_spread.index_select(0, spread.flatten()).view(spread.shape) + half) >> FIXED_POINT_BITS
    return torch.where(hue < 0, hue + 180, hue), saturation, value


def _fixed_point_reciprocals(device: torch.device) -> Sequence[torch.Tensor]:
    divisors = np.maximum(np.arange(256), 1)
    shares = [
        np.where(np.arange(256) > 0, np.rint(whole * 2**FIXED_POINT_BITS / divisors), 0)
        for whole in (255, 30)
    ]
    return [copy_to_device(share.astype(np.int32), device) for share in shares]


def _hsv_to_bgr(hue: torch.Tensor, saturation: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return (n, height, width, 3), 8 bits. Fractions are cut off, as in OpenCV's vector code."""
    hue, saturation = hue / 30, saturation / 255
    planes = []
    for turn in (1, 3, 5):
        sixth = (hue + turn) % 6
        weight = torch.minimum(sixth, 4 - sixth).clamp_(0, 1)
        planes.append((value - value * saturation * weight).to(torch.uint8))
    return torch.stack(planes, -1)

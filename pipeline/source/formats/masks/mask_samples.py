"""Look at a few masks of a source: do they show a field of view, the same objects, or a background?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.source.formats.masks.gray_levels import WHITE
from pipeline.source.formats.masks.pixels import (
    MASK_FORMATS,
    MAX_MASK_PIXELS,
    MaskPixels,
    decode_pixels,
    get_brightness,
)

_SAMPLES: Final = 8
_SIDE: Final = 64
"""Rows and columns of the pixels of a mask that are compared."""
_MIN_MASKS: Final = 3
"""With fewer masks, chance may make them alike."""
_SAME_OVERLAP: Final = 0.9
"""Intersection over union of masks that show nearly the same."""
_MIN_VIEW_SHARE: Final = 0.3
"""Share of the image that a field of view covers."""


_NEARLY_ALL: Final = 0.8
_MIN_BACKGROUND_SHARE: Final = 0.25
"""Share of the pixels that the background has, if nothing says which number it is."""
_MIN_NUMBERS: Final = 4
"""Numbers in masks in which each pixel may have a class."""


class MaskSample(NamedTuple):
    """The pixels of a mask: class numbers, or colors as 0xrrggbb."""

    kind: str
    values: MaskPixels


def sample_masks(paths: Sequence[Path], count: int = _SAMPLES) -> Iterator[MaskSample]:
    """Decode some masks of a list, spread over it; what cannot be read is left out."""
    step = max(1, len(paths) // count)
    for path in paths[::step][:count]:
        if sample := _decode_sample(path):
            yield sample


def show_field_of_view(paths: Sequence[Path]) -> bool:
    """Check for masks of two values, a large area in the middle, that are nearly the same in every image."""
    first = None
    count = 0
    for sample in sample_masks(paths):
        shape = _find_support(sample)
        first = shape if first is None else first
        is_large = shape.mean() >= _MIN_VIEW_SHARE and shape[_SIDE // 2, _SIDE // 2]
        if (
            not is_large
            or len(np.unique(_thin(sample))) > 2
            or _measure_overlap(shape, first) < _SAME_OVERLAP
        ):
            return False
        count += 1
    return count >= _MIN_MASKS


def show_same_objects(some: Sequence[Path], others: Sequence[Path]) -> bool:
    """Check that two masks of each image mark the same pixels, with the same number of values."""
    count = 0
    for one, other in zip(sample_masks(some), sample_masks(others), strict=False):
        shapes = _find_support(one), _find_support(other)
        counts = {len(np.unique(_thin(sample))) for sample in (one, other)}
        if len(counts) > 1 or _measure_overlap(*shapes) < _SAME_OVERLAP:
            return False
        count += bool(shapes[0].any())
    return count > 0


def find_background_doubt(paths: Sequence[Path]) -> str:
    """Return a remark if 0 may be a class, or another number background; empty if the masks show no doubt."""
    samples = [_thin(sample) for sample in sample_masks(paths) if sample.kind == "number"]
    if not samples:
        return ""
    share = float(np.mean([(values == 0).mean() for values in samples]))
    count = len(set().union(*(np.unique(values).tolist() for values in samples)))
    if 0 < share < _MIN_BACKGROUND_SHARE and count >= _MIN_NUMBERS:
        return (
            f"number 0 is taken for background, though only {share:.0%} of the pixels have it: if it is a "
            "class, name it in classes.txt (`0 sky`)"
        )
    around = Counter(map(_find_surrounding_number, samples)).most_common(1)[0]
    if share == 0 and around[0] and around[1] >= max(_MIN_MASKS, _NEARLY_ALL * len(samples)) and count > 1:
        return (
            f"number {around[0]} surrounds the others in nearly all masks, and none has number 0: if it is "
            f"background, say so in classes.txt (`{around[0]} background`)"
        )
    return ""


def list_edge_values(values: MaskPixels) -> MaskPixels:
    """Return the values of the outermost rows and columns."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _find_surrounding_number(values: MaskPixels) -> int:
    """Return the number of nearly all pixels at the edge of a mask; 0 if there is none."""
    numbers, counts = np.unique(list_edge_values(values), return_counts=True)
    return int(numbers[counts.argmax()]) if counts.max() >= _NEARLY_ALL * counts.sum() else 0


def _decode_sample(path: Path) -> MaskSample | None:
    if not path.is_file():  # opening a pipe would block
        return None
    try:
        with Image.open(path, formats=MASK_FORMATS) as image:
            if not 0 < image.width * image.height <= MAX_MASK_PIXELS:
                return None
            kind, values = decode_pixels(image)
            is_lossy = image.format == "JPEG"
    except Exception:  # decoders raise any type; an unreadable mask is reported when all are read
        return None
    light = (get_brightness(values, kind) > WHITE // 2).view(np.uint8) if is_lossy else values
    return MaskSample("number" if is_lossy else kind, light)


def _thin(sample: MaskSample) -> NDArray[Any]:
    """Return 64 rows and columns, spread over the mask."""
    height, width = sample.values.shape
    rows = (np.arange(_SIDE) * height + height // 2) // _SIDE
    columns = (np.arange(_SIDE) * width + width // 2) // _SIDE
    return sample.values[np.ix_(rows, columns)]


def _find_support(sample: MaskSample) -> NDArray[np.bool_]:
    support: NDArray[np.bool_] = _thin(sample) > 0
    return support


def _measure_overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two shapes; 1 if both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0

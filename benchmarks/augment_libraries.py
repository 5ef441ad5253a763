"""Compare libraries for offline augmentation: images/s, import time, memory, and the error of boxes.

    python benchmarks/augment_libraries.py

AlbumentationsX is no dependency of this project. For its column install it in another folder, since
Ultralytics uses it where it is installed: `pip install --target FOLDER --no-deps albumentationsx albucore
numkong stringzilla`, with FOLDER as PYTHONPATH. The libraries do the same work (flips, rotation, scale, crop,
brightness and contrast, blur, noise, all on every image) on one thread, in turn image by image, so that a
busy machine slows all of them alike. docs/decisions/augmentation.md has the figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.augment.affine import build_affine_matrix, clip_boxes, transform_boxes
from pipeline.augment.parameters import AugmentationRanges, draw_parameters
from pipeline.augment.transform_image import transform_image

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Candidate = Callable[[Pixels, Boxes, int], tuple[Pixels, Boxes]]

FULL = AugmentationRanges(
    probability=1, rotate=10, fliplr=0.5, flipud=0.5, brightness=0.15, contrast=0.15, blur=1.5, noise=0.04,
    scale=0.1, crop=0.1,
)  # fmt: skip
STILL = AugmentationRanges(
    probability=1, rotate=0, fliplr=0, flipud=0, brightness=0, contrast=0, blur=0, noise=0, scale=0, crop=0
)
START = {
    "opencv": "import cv2, numpy",
    "albumentationsx": "import os; os.environ['ALBUMENTATIONS_NO_TELEMETRY'] = '1'; import albumentations",
    "torchvision": "import torchvision.transforms.v2",
}


def opencv(ranges: AugmentationRanges, _pixels: int) -> Candidate:
    """Build this project's augmentation: one matrix, one interpolation."""

    def candidate(image: Pixels, boxes: Boxes, seed: int) -> tuple[Pixels, Boxes]:
        height, width = image.shape[:2]
        recipe = draw_parameters(ranges, seed)
        moved = transform_boxes(boxes, build_affine_matrix(recipe, width, height))
        return transform_image(image, recipe, seed), clip_boxes(moved, width, height)

    return candidate


def albumentationsx(ranges: AugmentationRanges, pixels: int) -> Candidate:
    """Build the same with AlbumentationsX, without usage statistics."""
    os.environ["ALBUMENTATIONS_NO_TELEMETRY"] = "1"
    import albumentations as alb

    steps = [
        alb.HorizontalFlip(p=ranges.fliplr),
        alb.VerticalFlip(p=ranges.flipud),
        alb.Affine(
            scale=(1 - ranges.scale, 1 + ranges.scale), rotate=(-ranges.rotate, ranges.rotate),
            rotate_method="ellipse", fill=114, p=float(ranges.rotate + ranges.scale > 0),
        ),
        alb.RandomResizedCrop(
            (pixels, pixels), scale=((1 - ranges.crop) ** 2, 1), ratio=(1, 1), p=float(ranges.crop > 0)
        ),
        alb.RandomBrightnessContrast(
            (-ranges.brightness, ranges.brightness), (-ranges.contrast, ranges.contrast),
            p=float(ranges.brightness > 0),
        ),
        alb.GaussianBlur(sigma_range=(0, ranges.blur), p=float(ranges.blur > 0)),
        alb.GaussNoise(std_range=(0, ranges.noise), per_channel=True, p=float(ranges.noise > 0)),
    ]  # fmt: skip
    compose = alb.Compose(steps, bbox_params=alb.BboxParams("pascal_voc"), telemetry=False)

    def candidate(image: Pixels, boxes: Boxes, seed: int) -> tuple[Pixels, Boxes]:
        compose.set_random_seed(seed)
        result = compose(image=image, bboxes=boxes)
        return result["image"], np.asarray(result["bboxes"])[:, :4]

    return candidate


def torchvision(ranges: AugmentationRanges, pixels: int) -> Candidate:
    """Build the same with torchvision.transforms.v2 on tensors."""
    import torch
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    bilinear = v2.InterpolationMode.BILINEAR
    steps: list[torch.nn.Module] = [
        v2.RandomHorizontalFlip(ranges.fliplr),
        v2.RandomVerticalFlip(ranges.flipud),
    ]
    if ranges.rotate or ranges.scale:
        span = (1 - ranges.scale, 1 + ranges.scale)
        steps.append(v2.RandomAffine(ranges.rotate, scale=span, interpolation=bilinear, fill=114))
    if ranges.crop:
        steps.append(v2.RandomResizedCrop(pixels, ((1 - ranges.crop) ** 2, 1), (1, 1), bilinear))
    if ranges.brightness:
        steps.append(v2.ColorJitter(ranges.brightness, ranges.contrast))
    if ranges.blur:
        steps.append(v2.GaussianBlur(9, (0.01, ranges.blur)))
    if ranges.noise:
        steps.append(v2.GaussianNoise(sigma=ranges.noise / 2))
    compose = v2.Compose([*steps, v2.ClampBoundingBoxes()])

    def candidate(image: Pixels, boxes: Boxes, seed: int) -> tuple[Pixels, Boxes]:
        torch.manual_seed(seed)
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
        corners = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=image.shape[:2])  # type: ignore[call-overload]
        moved, corners = compose(tensor, corners)
        return np.ascontiguousarray(moved.numpy().transpose(1, 2, 0)), corners.numpy()

    return candidate


BUILDERS = {"opencv": opencv, "albumentationsx": albumentationsx, "torchvision": torchvision}


def speed(names: list[str], *, pixels: int, repeats: int, files: bool) -> dict[str, float]:
    """Return the median milliseconds per image; with `files`, decoding and encoding JPEG included."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (pixels, pixels, 3), dtype=np.uint8), (0, 0), 2)
    corners = rng.uniform(0, pixels * 0.8, (20, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(pixels * 0.05, pixels * 0.2, (20, 2))], axis=1)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    candidates = {name: BUILDERS[name](FULL, pixels) for name in names}
    took: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(-5, repeats):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            source = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if files else image
            drawn, _ = candidate(source, boxes, seed + 5)
            if files:
                cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 95])
            if seed >= 0:  # the first ones warm up
                took[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) * 1000 for name, values in took.items()}


def error(name: str, ranges: AugmentationRanges, *, ellipse: bool, draws: int = 200) -> tuple[float, float]:
    """Return the distance in pixels of box edges from those of the drawn object: median and largest."""
    candidate, offsets = BUILDERS[name](ranges, 320), []
    for seed in range(draws):
        x1, y1, width, height = np.random.default_rng(seed).integers([100, 100, 30, 30], [150, 150, 90, 90])
        rows, columns = np.mgrid[:320, :320] + 0.5
        across, down = (
            np.abs(columns - x1 - width / 2) / width * 2,
            np.abs(rows - y1 - height / 2) / height * 2,
        )
        inside = across**2 + down**2 <= 1 if ellipse else np.maximum(across, down) <= 1
        image = np.repeat(np.where(inside, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
        drawn, boxes = candidate(image, np.array([[x1, y1, x1 + width, y1 + height]], np.float64), seed)
        seen = [np.flatnonzero((drawn[..., 0] >= 128).any(axis)) for axis in (0, 1)]
        offsets.append(np.abs(boxes[0] - [seen[0][0], seen[1][0], seen[0][-1] + 1, seen[1][-1] + 1]))
    return float(np.median(offsets)), float(np.max(offsets))


def start(name: str, repeats: int = 5) -> tuple[float, float]:
    """Return seconds and resident MiB of a fresh process that only imports the library."""
    code = f"{START[name]}; import psutil; print(psutil.Process().memory_info().rss / 2**20)"
    took, resident = [], 0.0
    for _ in range(repeats):
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        took.append(time.perf_counter() - begun)
        resident = float(done.stdout)
    return statistics.median(took), resident


def rows(names: list[str], repeats: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of the table: what was measured, and a cell per library."""
    for pixels in (256, 640):
        for files, what in ((False, "transform"), (True, "decode, transform, encode")):
            took = speed(names, pixels=pixels, repeats=repeats, files=files)
            cells = [f"{1000 / took[name]:.0f} ({took[name] / took[names[0]]:.2f})" for name in names]
            yield f"{pixels} px, {what}: images/s (time)", cells
    for what, ranges, ellipse in (
        ("flips", replace(STILL, fliplr=0.5, flipud=0.5), False),
        ("scale", replace(STILL, scale=0.3), False),
        ("crop", replace(STILL, crop=0.3), False),
        ("rotation of an ellipse", replace(STILL, rotate=45), True),
    ):
        errors = [error(name, ranges, ellipse=ellipse) for name in names]
        yield f"{what}: box off its pixels, median and largest px", [f"{m:.2f}, {x:.2f}" for m, x in errors]
    starts = [start(name) for name in names]
    yield "import: seconds, resident MiB", [f"{took:.2f}, {resident:.0f}" for took, resident in starts]


def main() -> None:
    """Print a Markdown table; times in brackets are multiples of those of the first column."""
    parser = argparse.ArgumentParser(description="Measure the candidates for offline augmentation.")
    parser.add_argument("--repeats", type=int, default=100, help="images per candidate and image size")
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    installed = importlib.util.find_spec("albumentations") is not None
    names = [name for name in BUILDERS if installed or name != "albumentationsx"]
    print("| |", " | ".join(names), "|\n|---|", "---|" * len(names), sep="")
    for what, cells in rows(names, repeats):
        print("|", what, "|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

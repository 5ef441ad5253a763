"""Measure the search for near duplicates: recall of planted copies, and pairs among the originals.

    python benchmarks/duplicates.py [--images N] [--sheets FOLDER] [--search N] DIR...

Each DIR has images, at any depth; `demo` is the drawn steel. For up to N images of each, copies are made
(resized, re-encoded, cropped, brightened, mirrored, rotated, several at once) and searched among all images.
A pair of two originals is a false positive, or a true duplicate in the data: FOLDER gets such pairs side by
side. --search times the search among random hashes. Hashes of the package imagehash are measured too, if it
is installed. docs/decisions/duplicates.md has the figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.prepare.duplicates.perceptual_hash import (
    ORIENTATIONS,
    THUMBNAIL_SIDE,
    VECTOR_LENGTH,
    compute_frequency_vectors,
)
from pipeline.prepare.duplicates.search import DuplicatePairs, find_candidate_pairs, find_near_duplicates
from pipeline.prepare.images.appearance import measure_appearance
from pipeline.source.reading.file_tree import list_images
from pipeline.source.synthetic.steel import draw_steel_image

Image = NDArray[np.uint8]


def plant(image: Image, rng: np.random.Generator) -> Iterator[tuple[str, Image]]:
    """Yield planted copies of an image, each with the name of its kind."""
    height, width = image.shape[:2]
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    yield "half size", half
    yield "other proportions", cv2.resize(image, (width * 3 // 4, height))
    yield "JPEG, quality 30", encoded(image, 30)
    for percent in (3, 5, 8):
        yield f"up to {percent}% off each side", cropped(image, percent / 100, rng)
    yield "brighter", lit(image, 1.3, 20)
    yield "darker", lit(image, 0.6, 0)
    yield "mirrored", np.ascontiguousarray(image[:, ::-1])
    yield "turned by 90 degrees", np.ascontiguousarray(np.rot90(image))
    yield "turned by 180 degrees", np.ascontiguousarray(np.rot90(image, 2))
    several = cropped(half[:, ::-1], 0.05, rng)
    yield "mirrored, half, up to 5% off, brighter, JPEG 60", encoded(lit(several, 1.15, 10), 60)


def encoded(image: Image, quality: int) -> Image:
    """Encode as JPEG and decode."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def cropped(image: Image, most: float, rng: np.random.Generator) -> Image:
    """Crop up to a share off each side."""
    height, width = image.shape[:2]
    top, bottom, left, right = rng.random(4) * most
    return image[
        int(top * height) : height - int(bottom * height), int(left * width) : width - int(right * width)
    ]


def lit(image: Image, gain: float, offset: float) -> Image:
    """Change brightness and contrast."""
    return np.clip(image.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)


def originals(name: str, most: int) -> tuple[list[str], list[Image]]:
    """Read or draw images, without equal ones."""
    if name == "demo":
        return [str(index) for index in range(most)], [
            draw_steel_image(index, seed=0, pixels=256).image for index in range(most)
        ]
    paths = list_images(Path(name))
    found = [(str(path), cv2.imread(str(path))) for path in paths[:: max(1, len(paths) // most)][:most]]
    return [path for path, image in found if image is not None], [i for _, i in found if i is not None]


def thumbnails(images: Iterable[Image]) -> NDArray[np.uint8]:
    """Return the thumbnail that prepare stores of each image."""
    data = b"".join(measure_appearance(image).thumbnail for image in images)
    return np.frombuffer(data, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def hashes(images: Iterable[Image], make: Callable[[Any], Any]) -> NDArray[np.bool_]:
    """Return a hash of imagehash for each image (n, bits)."""
    from PIL import Image as Pillow

    grey = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images)
    return np.array([make(Pillow.fromarray(image)).hash.ravel() for image in grey])


def turned(images: Iterable[Image]) -> Iterator[list[Image]]:
    """Yield all images in each of the eight orientations."""
    for turn in ORIENTATIONS:
        swapped = [image.swapaxes(0, 1) if turn.transposed else image for image in images]
        yield [
            np.ascontiguousarray(image[:: -1 if turn.flipud else 1, :: -1 if turn.fliplr else 1])
            for image in swapped
        ]


def others() -> dict[str, tuple[Callable[[Any], Any], int]]:
    """Return other hashes, and the maximum number of different bits: 10 of 64, the usual share."""
    try:
        import imagehash
    except ImportError:
        return {}
    return {
        "imagehash.phash, 64 bit, 10 apart": (imagehash.phash, 10),
        "imagehash.phash, 256 bit, 40 apart": (lambda image: imagehash.phash(image, hash_size=16), 40),
        "imagehash.dhash, 64 bit, 10 apart": (imagehash.dhash, 10),
        "imagehash.whash, 64 bit, 10 apart": (imagehash.whash, 10),
    }


def by_hash(
    images: list[Image], copies: list[Image], make: Callable[[Any], Any], apart: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which originals match each other (n, n), and which copies each matches (n, copies)."""
    plain, planted = hashes(images, make), hashes(copies, make)
    found = [hashes(each, make) for each in turned(images)]
    alike, hit = (
        np.min([(each[:, None] != these[None]).sum(axis=2) for each in found], axis=0) <= apart
        for these in (plain, planted)
    )
    return np.triu(alike, 1), hit


def by_sieves(
    images: list[Image], copies: list[Image], search: Callable[[Any], Iterable[DuplicatePairs]]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the same by the filters of the pipeline."""
    number = len(images)
    alike = np.zeros((number + len(copies),) * 2, bool)
    for pairs in search(thumbnails([*images, *copies])):
        alike[pairs.first, pairs.second] = True
    return alike[:number, :number], alike[:number, number:]


def measure(name: str, most: int, sheets: Path | None) -> None:
    """Print recall by kind of copy, and pairs among originals, of one data set for each method."""
    paths, images = originals(name, most)
    rng = np.random.default_rng(0)
    planted = [(kind, index, copy) for index, image in enumerate(images) for kind, copy in plant(image, rng)]
    copies, owners = [copy for *_, copy in planted], np.array([index for _, index, _ in planted])
    kinds = np.array([kind for kind, *_ in planted])
    print(f"\n{name}: {len(images)} images, {len(copies)} copies")
    methods: dict[str, Callable[[], tuple[NDArray[np.bool_], NDArray[np.bool_]]]] = {
        label: lambda make=make, apart=apart: by_hash(images, copies, make, apart)
        for label, (make, apart) in others().items()
    }
    methods |= {
        "first two sieves": lambda: by_sieves(
            images, copies, lambda made: find_candidate_pairs(compute_frequency_vectors(made))
        ),
        "all three, as prepare": lambda: by_sieves(images, copies, lambda made: [find_near_duplicates(made)]),
    }
    for label, method in methods.items():
        alike, hit = method()
        found = hit[owners, np.arange(len(copies))]
        report(label, {kind: found[kinds == kind].mean() for kind in dict.fromkeys(kinds.tolist())}, alike)
    pairs = list(zip(*np.nonzero(alike), strict=True))
    for first, second in pairs[:5]:
        print(f"    among the originals: {paths[first]} {paths[second]}")
    if sheets and pairs:
        draw(sheets / f"{Path(name).name}.png", [(images[one], images[other]) for one, other in pairs[:40]])


def report(label: str, recall: Mapping[str, float], alike: NDArray[np.bool_]) -> None:
    """Print the row of one method."""
    whole = len(alike) * (len(alike) - 1) // 2
    said = ", ".join(f"{kind} {share:.3f}" for kind, share in recall.items() if share < 1)
    number = int(alike.sum())
    print(f"  {label}: recall {np.mean(list(recall.values())):.4f} ({said or 'of every kind 1'});", end=" ")
    print(f"{number} of {whole} pairs of originals ({number / whole:.5%})", flush=True)


def draw(path: Path, pairs: list[tuple[Image, Image]]) -> None:
    """Draw pairs side by side, four pairs a row."""
    cells = [np.hstack([cv2.resize(image, (200, 200)) for image in pair]) for pair in pairs]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [np.hstack(cells[start : start + 4]) for start in range(0, len(cells), 4)]
    cv2.imwrite(str(path), np.vstack(rows))


def search(number: int) -> None:
    """Time the search among random vectors, whose hashes are random bits."""
    vectors = np.random.default_rng(0).standard_normal((number, VECTOR_LENGTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wall, processor = time.perf_counter(), time.process_time()
    found = sum(len(pairs.first) for pairs in find_candidate_pairs(vectors))
    took = time.perf_counter() - wall, time.process_time() - processor
    print(f"{number} random hashes: {took[0]:.1f} s, {took[1]:.1f} s of CPU; {found} pairs", flush=True)


def main() -> None:
    """Measure each data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", metavar="DIR")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--search", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.folders:
        measure(name, asked.images, asked.sheets)
    if asked.search:
        search(asked.search)


if __name__ == "__main__":
    main()

"""Class balance: how many augmented copies each train image gets."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Collection, Sequence


def allocate_copies(
    images: Sequence[Collection[int]], *, multiplier: int, balance: float, seed: int
) -> list[int]:
    """Allocate (multiplier - 1) * n copies to n images, in proportion to `compute_image_weights`.

    Systematic sampling: the quotas are placed end to end in a seeded order, and each whole step is one copy.
    So each image gets its quota rounded up or down, and the total is exact. Without balance all images get
    the same number.

    Args:
        images: The class indices of each image's objects; an image may have none.
        multiplier: Train images after augmentation, as a multiple of the originals; 1 or more.
        balance: 0..1, see `compute_image_weights`.
        seed: Seed of the order and of the first step.

    Returns:
        One count per image, in the order of `images`.
    """
    total = (multiplier - 1) * len(images)
    if not total:
        return [0] * len(images)
    generator = random.Random(seed)  # `random` keeps its values across Python versions; `shuffle` does not
    order = sorted(range(len(images)), key=lambda _: generator.random())
    weights = compute_image_weights(images, balance)
    quota = total / math.fsum(weights)
    ends = [*itertools.accumulate(weights[index] * quota for index in order[:-1]), total]
    start = generator.random()
    steps = [0, *(math.floor(end + start) for end in ends)]
    counts = [0] * len(images)
    for index, (before, after) in zip(order, itertools.pairwise(steps), strict=True):
        counts[index] = after - before
    return counts


def compute_image_weights(images: Sequence[Collection[int]], balance: float) -> list[float]:
    """Weigh each image by its rarest class: (most / n_c) ** balance; n_c is the number of images of class c.

    0 weighs all images alike; 0.5 is the square root in LVIS (Gupta, Dollár and Girshick, CVPR 2019,
    section 4.2); 1 weighs in inverse proportion to how many images show the class. An image without objects
    has weight 1.
    """
    image_counts = Counter(cls for image in images for cls in set(image))
    most = max(image_counts.values(), default=1)
    return [
        max(((most / image_counts[cls]) ** balance for cls in set(image)), default=1.0) for image in images
    ]

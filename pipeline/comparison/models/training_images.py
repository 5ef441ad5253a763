"""Find out whether a model was trained on the images that it is tested on: its score would be too high."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.errors import UserError
from pipeline.dataset.history import read_manifest_at_revision
from pipeline.iterations.iteration import Iteration


def count_training_images(iteration: Iteration, images: Iterable[str], *, data: str) -> int | None:
    """Count the test images that a model was trained on, or chosen by, as val images are.

    Args:
        iteration: The model.
        images: The SHA-256 of each test image.
        data: Digest of the prepared dataset whose test split they are: the splits of one dataset have no
            image in common.

    Returns:
        The number; None where the images of its training are not known.
    """
    if iteration.data == data:
        return 0
    try:
        own = read_manifest_at_revision(iteration.revision) if iteration.revision else None
    except UserError:
        own = None
    if own is None or (iteration.data and own.digest != iteration.data):
        return None
    return len({item.sha256 for item in own.items if item.split != "test"} & set(images))


def remark_on_training_images(
    iteration: Iteration, images: Iterable[str], *, data: str, name: str
) -> list[str]:
    """Return a sentence if a model was trained on test images, or if that is not known.

    Args:
        iteration: The model.
        images: See `count_training_images`.
        data: See `count_training_images`.
        name: Of the dataset, for people.
    """
    test = set(images)
    seen = count_training_images(iteration, test, data=data)
    if seen is None:
        return [
            f"whether {iteration.label} was trained on test images of {name} is not known: "
            "if so, its score is too high"
        ]
    if not seen:
        return []
    return [
        f"{iteration.label} was trained on {seen} of the {len(test)} test images of {name}: "
        "its score is too high"
    ]

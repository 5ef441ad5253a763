"""Find the test images that a model was trained on, as after another split: its scores are too high."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.dataset.manifest import BaseSeen, Manifest, find_learnt_images, read_base_seen


class SeenImages(NamedTuple):
    """The test images that a model was trained on.

    Attributes:
        number: How many, with those that it was chosen by, and those of the weights that it started from;
            None where nobody knows.
        sentence: For people; empty where the data is that of the training, whose splits share no image, and
            its base weights saw no test image.
    """

    number: int | None
    sentence: str


def find_seen_images(trained: Mapping[str, Any], manifest: Manifest) -> SeenImages:
    """Find the test images that a model was trained on, or chosen by.

    Args:
        trained: What finetune wrote about its weights.
        manifest: Of the data that is evaluated on.
    """
    test = manifest.in_split("test")
    is_own, base = trained.get("data") == manifest.digest, read_base_seen(trained) or BaseSeen()
    if is_own:
        number: int | None = base.number
    else:
        seen = find_learnt_images(trained, test)
        number = None if seen is None else len(seen)
    if number is None:
        return SeenImages(
            None,
            f"{FINETUNED_FOLDER} does not say on which images it was trained: if some of the test images of "
            f"{PREPARED_FOLDER} are among them, its scores are too high",
        )
    if number:
        return SeenImages(number, _describe_seen(number, len(test), is_own=is_own))
    if not base.is_complete:
        return SeenImages(
            None,
            f"on which images the weights that {FINETUNED_FOLDER} started from were trained is not known: if "
            f"some of the test images of {PREPARED_FOLDER} are among them, its scores are too high",
        )
    if is_own:
        return SeenImages(0, "")
    return SeenImages(
        0,
        f"{FINETUNED_FOLDER} was trained on other data, without the test images of {PREPARED_FOLDER}; near "
        "copies of them were not looked for",
    )


def _describe_seen(number: int, test: int, *, is_own: bool) -> str:
    counted = f"{number:,} of the {test:,} test images of {PREPARED_FOLDER}: its scores are too high"
    if is_own:
        return (
            f"the weights that {FINETUNED_FOLDER} started from were trained on {counted}; start from "
            "official weights, or from weights that were trained on this split"
        )
    return f"{FINETUNED_FOLDER} was trained on other data, with {counted}; run finetune again (dvc repro)"

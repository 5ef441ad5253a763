"""Find the test images that a model was trained on, as after another split: its scores are too high."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.dataset.manifest import Manifest, find_learnt_images


class SeenImages(NamedTuple):
    """The test images that a model was trained on.

    Attributes:
        number: How many, with those that it was chosen by; None where nobody knows.
        sentence: For people; empty where the data is that of the training: its splits share no image.
    """

    number: int | None
    sentence: str


def find_seen_images(trained: Mapping[str, Any], manifest: Manifest) -> SeenImages:
    """Find the test images that a model was trained on, or chosen by.

    Args:
        trained: What finetune wrote about its weights.
        manifest: Of the data that is evaluated on.
    """
    if trained.get("data") == manifest.digest:
        return SeenImages(0, "")
    test = manifest.in_split("test")
    seen = find_learnt_images(trained, test)
    if seen is None:
        return SeenImages(
            None,
            f"{FINETUNED_FOLDER} does not say on which images it was trained: if some of the test images of "
            f"{PREPARED_FOLDER} are among them, its scores are too high",
        )
    if seen:
        return SeenImages(
            len(seen),
            f"{FINETUNED_FOLDER} was trained on other data, with {len(seen):,} of the {len(test):,} test "
            f"images of {PREPARED_FOLDER}: its scores are too high; run finetune again (dvc repro)",
        )
    return SeenImages(
        0,
        f"{FINETUNED_FOLDER} was trained on other data, without the test images of {PREPARED_FOLDER}; near "
        "copies of them were not looked for",
    )

"""Find out whether a model was trained on the images that it is tested on: its score would be too high."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.errors import UserError
from pipeline.dataset.history import read_manifest_at_revision
from pipeline.dataset.manifest import parse_base_seen, read_learnt_images, select_listed_images
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.recorded_iteration import read_training_facts


def count_training_images(iteration: Iteration, images: Iterable[str], *, data: str) -> int | None:
    """Count the test images that a model was trained on, or chosen by, as val images are.

    Those that its base weights were trained on count, as far as they are known: see `has_unknown_base`.

    Args:
        iteration: The model.
        images: The SHA-256 of each test image.
        data: Digest of the prepared dataset whose test split they are: the splits of one dataset have no
            image in common.

    Returns:
        The number; None where the images of its training are not known.
    """
    base = parse_base_seen(iteration.facts.get("base_seen"))
    if iteration.data == data:
        return base.number if base else 0
    try:
        own = read_manifest_at_revision(iteration.revision) if iteration.revision else None
        facts = read_training_facts(iteration.label, str(iteration.revision)) if own and base else {}
    except UserError:
        return None
    if own is None or (iteration.data and own.digest != iteration.data):
        return None
    listed = read_learnt_images(facts)
    if base and listed is None:
        return None
    test = set(images)
    learnt = {item.sha256 for item in own.items if item.split != "test"} & test
    return len(learnt | set(select_listed_images(test, listed or frozenset())))


def has_unknown_base(iteration: Iteration) -> bool:
    """Check whether a model started from weights of which nobody knows all images of their training."""
    base = parse_base_seen(iteration.facts.get("base_seen"))
    return base is not None and not base.is_complete


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
    if not seen and has_unknown_base(iteration):
        return [
            f"whether the weights that {iteration.label} started from were trained on test images of {name} "
            "is not known: if so, its score is too high"
        ]
    if not seen:
        return []
    which = ", or the weights that it started from," if "base_seen" in iteration.facts else ""
    return [
        f"{iteration.label}{which} was trained on {seen} of the {len(test)} test images of {name}: "
        "its score is too high"
    ]

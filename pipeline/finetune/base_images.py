"""Find the test images that weights of the user's own were trained on before they are trained on again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from pipeline.core.model_names import DOWNLOADABLE_WEIGHTS
from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.core.text import format_count
from pipeline.dataset.manifest import (
    BaseSeen,
    Manifest,
    list_learnt_images,
    read_base_seen,
    read_learnt_images,
    select_listed_images,
)
from pipeline.storage.base_weights import find_weights_origin, is_bundled_sha256
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.store.run_files import download_run_files
from pipeline.tracking.store.run_tags import STAGE_TAG_PREFIX, WEIGHTS_TAG
from pipeline.tracking.store.tracked_runs import RunReader, TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget

FACTS_FILE: Final = "run.json"
"""Beside weights of this project, and in their run, as finetune wrote it."""
MAX_FACTS_BYTES: Final = 10_000_000
"""A larger file is none that finetune wrote: MAX_LISTED_IMAGES are 2 MB."""


class BaseImages(NamedTuple):
    """The images that weights were trained on, or chosen by, where they are not only those of train and val.

    Attributes:
        listed: As `list_learnt_images` has them; empty where nobody knows them.
        seen: The test images of data/prepared among them.
    """

    listed: frozenset[str]
    seen: BaseSeen


def find_base_images(
    path: Path | None, sha256: str | None, prepared: Manifest, target: TrackingTarget
) -> BaseImages | None:
    """Find the images of weights, by the run.json of their training: beside them, or in its run.

    Args:
        path: The file of the weights; None for random ones.
        sha256: Of the file.
        prepared: The manifest of the data that is trained on now.
        target: MLflow's store. Only a local database is asked: a training waits for no server.

    Returns:
        None where they are official or bundled, or learnt from none but the present train and val images.
    """
    if path is None or sha256 is None:
        return None
    origin = find_weights_origin(str(path.absolute()), None)
    if origin == "published":
        return None
    facts = _read_facts(path.parent / FACTS_FILE, sha256) or _fetch_facts(target, sha256)
    if facts is None:
        return BaseImages(frozenset(), BaseSeen(0, is_complete=False)) if origin == "own" else None
    listed, seen = read_learnt_images(facts), _find_seen_before(facts)
    if facts.get("data") != prepared.digest:
        test = [item.sha256 for item in prepared.in_split("test")]
        number = len(select_listed_images(test, listed or frozenset()))
        seen = BaseSeen(number, is_complete=seen.is_complete and listed is not None)
    own = frozenset(list_learnt_images(prepared) or ())
    if seen == BaseSeen() and (listed is None or listed <= own):
        return None
    return BaseImages(listed or frozenset(), seen)


def _fetch_facts(target: TrackingTarget, sha256: str) -> dict[str, Any] | None:
    """Fetch the run.json of the run that trained weights; None if the local database has none."""
    if target.database is None:
        return None
    reader, wanted = RunReader(target), f"tags.`{WEIGHTS_TAG}` = '{sha256}'"
    try:
        with TemporaryDirectory(dir=create_scratch_folder("finetune")) as folder:
            for run in reader.search_runs(f"{wanted} AND tags.`{STAGE_TAG_PREFIX}finetune` = 'finished'"):
                place = f"{FINETUNED_FOLDER.name}/{FACTS_FILE}"
                copy = download_run_files(reader, run.run_id, place, Path(folder))
                if copy is not None:
                    return _read_facts(copy, sha256)
    except TrackingUnavailableError:
        pass
    return None


def _read_facts(file: Path, sha256: str) -> dict[str, Any] | None:
    """Read a run.json; None if there is none, or it is of other weights."""
    try:
        facts = json.loads(file.read_bytes()) if file.stat().st_size <= MAX_FACTS_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    hashes = facts.get("sha256") if isinstance(facts, dict) else None
    return facts if isinstance(hashes, dict) and sha256 in hashes.values() else None


def _find_seen_before(facts: Mapping[str, Any]) -> BaseSeen:
    """Return what the base of weights had seen of the test images of their training.

    Where run.json is of an earlier version, only official and bundled weights are known to have seen none.
    """
    if (seen := read_base_seen(facts)) is not None:
        return seen
    base = facts.get("base")
    base = base if isinstance(base, dict) else {"sha256": "unknown"}
    name, sha256 = str(base.get("weights")), base.get("sha256")
    is_official = sha256 is None or DOWNLOADABLE_WEIGHTS.fullmatch(name) or is_bundled_sha256(sha256)
    return BaseSeen(0, is_complete=bool(is_official))


def remark_on_base_images(
    key: str, weights: str | None, found: BaseImages | None, prepared: Manifest
) -> list[str]:
    """Return a sentence where weights were trained on test images, or nobody knows whether they were.

    Args:
        key: Of the configuration: model.weights or finetune.distill_model.
        weights: Its value.
        found: See `find_base_images`.
        prepared: See `find_base_images`.
    """
    if found is None or found.seen == BaseSeen():
        return []
    what = f"{key}={weights}"
    consequence = "too high" if key == "model.weights" else "a little too high: it hands on what it knows"
    if not found.seen.number:
        return [
            f"on which images {what} was trained is not known: if test images of {PREPARED_FOLDER} are among "
            f"them, the scores on test are {consequence}. Copy the {FACTS_FILE} of its training beside it, "
            "if there is one"
        ]
    test = format_count(len(prepared.in_split("test")), "test image")
    return [
        f"{what} was trained on {found.seen} of the {test} of {PREPARED_FOLDER}: the scores on test are "
        f"{consequence}. Use official weights, or weights that were trained on this split"
    ]

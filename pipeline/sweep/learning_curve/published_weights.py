"""Tell whether weights that a learning curve starts from may have been trained on its images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.core.model_names import DOWNLOADABLE_WEIGHTS, model_name_for_task
from pipeline.core.tasks import TASKS
from pipeline.storage.base_weights import find_base_weights
from pipeline.storage.checksums import read_listed_sha256
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import project_root

WeightsOrigin = Literal["published", "named", "own"]
"""`published`: Ultralytics' or this project's, by their SHA-256, or downloaded from Ultralytics.
`named`: they have the name of official weights, which proves nothing. `own`: any other.
"""
_BUNDLED: Final = Path("models/foundation")


def find_weights_origin(weights: str, folder: str | None) -> WeightsOrigin:
    """Find out whose weights are.

    A SHA256SUMS that the user wrote beside weights says that they are intact, and not who trained them.

    Args:
        weights: A path, or a name such as yolo26n.pt.
        folder: `model.folder`.
    """
    path = find_base_weights(weights, folder)
    name = path.name if path else weights
    is_official = bool(DOWNLOADABLE_WEIGHTS.fullmatch(name))
    if path is None and is_official:  # Ultralytics' own is downloaded
        return "published"
    if path is not None and hash_file(path) == _find_published_sha256(path, is_official=is_official):
        return "published"
    return "named" if is_official or DOWNLOADABLE_WEIGHTS.fullmatch(Path(name).name) else "own"


def remark_on_weights(first: Mapping[str, Any], task: str | None) -> list[str]:
    """Return a sentence for base weights, and for a teacher, that may have learned the images of the curve.

    Args:
        first: The configuration of the first point of the sweep.
        task: Of the images; None where no training told it.
    """
    model, finetune = first["model"], first["finetune"]
    base = None if finetune["strategy"] == "scratch" else model["weights"]
    for known in TASKS:
        base = model_name_for_task(base, known) if base and known == task else base
    return [
        *_remark(base, model["folder"], "small parts know the others through it"),
        *_remark(finetune["distill_model"], model["folder"], "it teaches small parts the others"),
    ]


def _remark(weights: str | None, folder: str | None, consequence: str) -> list[str]:
    origin = "published" if weights is None else find_weights_origin(weights, folder)
    if origin == "published":
        return []
    doubt = f"only its name says that {weights} is official: " if origin == "named" else ""
    return [f"{doubt}if {weights} was trained on these images, {consequence}, and the curve is too flat"]


def _find_published_sha256(path: Path, *, is_official: bool) -> str | None:
    """Return the SHA-256 that a list of this project gives for a file; None where none names it."""
    if path.parent.resolve() == (project_root() / _BUNDLED).resolve():
        return read_listed_sha256(str(path), path)
    return read_listed_sha256(path.name) if is_official else None

"""What a user asks `finetrack predict` for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pipeline.iterations.weights_file import hash_path
from pipeline.predict.choose_model import ChosenModel

Format = Literal["pictures", "coco", "yolo", "csv"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


@dataclass(frozen=True)
class PredictionRequest:
    """What to predict on, and what to write.

    Args:
        sources: Files, folders and archives.
        output: The folder of the results.
        formats: What to write.
        chosen: The model and how to predict.
    """

    sources: Sequence[Path]
    output: Path
    formats: Sequence[Format]
    chosen: ChosenModel


def list_deciding_settings(request: PredictionRequest) -> dict[str, Any]:
    """Return what decides the results, as JSON: a folder is continued only with the same."""
    settings, classifies = request.chosen.settings, request.chosen.iteration.task == "classify"
    named = ("imgsz",) if classifies else ("imgsz", "conf", "iou", "max_det")
    tiles = {"tile": settings.get("tile"), "overlap": settings.get("overlap")} if settings.get("tile") else {}
    return {
        "model": request.chosen.iteration.label,
        "weights": hash_path(request.chosen.weights),
        "sources": [str(path.resolve()) for path in request.sources],
        "formats": sorted(request.formats),
        **{key: settings[key] for key in named},
        **tiles,
    }


def describe_chosen_model(chosen: ChosenModel) -> dict[str, Any]:
    """Return what COCO JSON says about the model; of classify there is no threshold."""
    settings = chosen.settings
    threshold = {} if chosen.iteration.task == "classify" else {"conf": settings["conf"]}
    return {
        "model": chosen.iteration.label,
        "run": chosen.iteration.run_id,
        **threshold,
        "imgsz": settings["imgsz"],
    }

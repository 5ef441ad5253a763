"""What a user asks `finetrack predict` for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pipeline.iterations.weights_file import hash_path
from pipeline.predict.choose_model import ChosenModel
from pipeline.yolo.inference.loaded_model import InferenceSettings

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
    settings = request.chosen.settings
    of_detections = {} if request.chosen.iteration.task == "classify" else _list_detection_settings(settings)
    tiles = {"tile": settings.get("tile"), "overlap": settings.get("overlap")} if settings.get("tile") else {}
    return {
        "model": request.chosen.iteration.label,
        "weights": hash_path(request.chosen.weights),
        "sources": [str(path.resolve()) for path in request.sources],
        "formats": sorted(request.formats),
        "imgsz": settings["imgsz"],
        **of_detections,
        **tiles,
    }


def _list_detection_settings(settings: InferenceSettings) -> dict[str, Any]:
    return {"conf": settings["conf"], "iou": settings["iou"], "max_det": settings["max_det"]}


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

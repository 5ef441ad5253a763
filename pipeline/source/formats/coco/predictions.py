"""Keep model output apart from the labels of COCO JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.coco.categories import normalize_id
from pipeline.source.plausibility.predictions import (
    PREDICTIONS_ADVICE,
    are_certain,
    get_score,
    is_named_like_predictions,
    repeat_images,
)
from pipeline.source.reading.file_tree import format_relative_path, read_head

CocoJson = dict[str, Any]
_SCORE_KEYS: Final = (b'"score"', b'"confidence"')


def find_predicted_files(files: Mapping[Path, CocoJson]) -> list[Path]:
    """Find the files in which every annotation has a score, or whose names say that a model wrote them.

    A file with a telling name must repeat the images of another file: alone it may hold the labels.
    """
    scores = {path: _read_scores(data) for path, data in files.items()}
    plain = [path for path in files if not scores[path]]
    truth = {path for path in plain if not is_named_like_predictions(path.stem)}

    def repeats_labels(path: Path) -> bool:
        others = {name for other in truth - {path} for name in _list_file_names(files[other])}
        return repeat_images(_list_file_names(files[path]), others)

    return [
        path
        for path in files
        if (scores[path] and (not are_certain(scores[path]) or repeats_labels(path)))
        or (path in plain and path not in truth and repeats_labels(path))
    ]


def _read_scores(data: CocoJson) -> list[float | None]:
    """Return the scores of all annotations; nothing if one has none."""
    rows = data["annotations"]
    is_scored = all(get_score(row) is not None for row in rows)
    return [get_score(row) for row in rows] if is_scored else []


def _list_file_names(data: CocoJson) -> set[str]:
    return {str(row.get("file_name")) for row in data["images"]}


def looks_like_detections(path: Path) -> bool:
    """Check the start of a file for scores."""
    return any(key in read_head(path) for key in _SCORE_KEYS)


def drop_scored_annotations(data: CocoJson, path: Path, folder: Path) -> tuple[str, ...]:
    """Remove annotations with a score from a file that has others too, and images with nothing else.

    Args:
        data: The parsed file; it is changed.
        path: Its path.
        folder: The source folder.
    """
    scores = [get_score(row) for row in data["annotations"]]
    found = [score for score in scores if score is not None]
    if not found or are_certain(found):
        return ()
    rows = list(zip(data["annotations"], scores, strict=True))
    labels = [row for row, score in rows if score is None]
    labelled = {normalize_id(row.get("image_id")) for row in labels}
    predicted = {normalize_id(row.get("image_id")) for row, score in rows if score is not None} - labelled
    data["annotations"] = labels
    data["images"] = [row for row in data["images"] if normalize_id(row.get("id")) not in predicted]
    number = f"{len(found)} of {format_count(len(scores), 'annotation')}"
    alone = f", and {format_count(len(predicted), 'image')} with nothing else" if predicted else ""
    where = format_relative_path(path, folder)
    return (f"{number} in {where} have a score: model output, left out{alone} ({PREDICTIONS_ADVICE})",)


def merge_detections(files: Mapping[Path, CocoJson], rows: Sequence[Any], path: Path) -> None:
    """Add a list of detections to the one file that lists their images.

    Raises:
        UserError: No file lists their images, or several do.
    """
    wanted = {normalize_id(row.get("image_id")) for row in rows if isinstance(row, dict)}
    fitting = [data for data in files.values() if wanted <= _list_image_ids(data)]
    if len(fitting) != 1:
        raise UserError(
            f"{path} is a list of detections, and {format_count(len(fitting), 'file')} list their images: "
            "put it beside the one file with images and categories that it belongs to"
        )
    fitting[0]["annotations"] = [*fitting[0]["annotations"], *(row for row in rows if isinstance(row, dict))]


def describe_predictions(paths: Collection[Path], folder: Path, *, used: bool) -> tuple[str, ...]:
    """Return a remark about files of model output."""
    if not paths:
        return ()
    listed = ", ".join(format_relative_path(path, folder) for path in paths)
    if used:
        return (f"model output (annotations with a score) is read as labels: {listed}",)
    return (f"model output, not labels: {listed}: left aside ({PREDICTIONS_ADVICE})",)


def refuse_predictions(paths: Sequence[Path]) -> UserError:
    """Return the refusal of a source that holds nothing but model output."""
    return UserError(
        f"every annotation in {paths[0]} has a score: that is model output, not labels; add the labels, or "
        "set data.predictions=labels to train on it"
    )


def _list_image_ids(data: CocoJson) -> set[str]:
    return {normalize_id(row.get("id")) for row in data["images"]}

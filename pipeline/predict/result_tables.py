"""Write what was found in all images as COCO JSON and as CSV, from the journal, row by row."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final, NamedTuple

from pipeline.core.tasks import Task
from pipeline.dataset.coco_head import dump_compact
from pipeline.dataset.coco_rows import CORNERS
from pipeline.predict.build_result import OUTLINE
from pipeline.predict.journal import ImageResult, read_results
from pipeline.storage.files import TEMPORARY_MARK, name_failed_path

COCO_FILE: Final = "predictions.json"
CSV_FILE: Final = "predictions.csv"
UNREADABLE_FILE: Final = "unreadable.csv"

_BOX_COLUMNS: Final = ("x1", "y1", "x2", "y2")
_EXTRA_COLUMNS: Final[dict[Task, tuple[str, ...]]] = {
    "segment": (OUTLINE,),
    "obb": tuple(f"corner_{axis}{number}" for number in range(1, 5) for axis in "xy"),
    "pose": ("keypoints",),
}


class ModelHead(NamedTuple):
    """What the tables say about the model.

    Attributes:
        task: Its task.
        names: Class names by index.
        info: Further facts, such as the model's name and the settings of the prediction.
    """

    task: Task
    names: Sequence[str]
    info: dict[str, Any]


def write_coco(path: Path, journal: Path, head: ModelHead) -> None:
    """Write a COCO dataset with info, categories, images and annotations, each with its score.

    Of classify an annotation has no box. Masks are run-length encoded, and cover all pieces of an object.
    """
    categories = [{"id": cls, "name": name} for cls, name in enumerate(head.names, 1)]
    with _replace_file(path) as file:
        first = {"info": {"task": head.task, **head.info}, "categories": categories}
        file.write(f'{dump_compact(first)[:-1]},\n"images":[\n')
        _write_rows(file, map(_build_image_row, _number(journal)))
        file.write('\n],\n"annotations":[\n')
        _write_rows(file, _build_annotations(journal))
        file.write("\n]}\n")


def write_csv(path: Path, journal: Path, head: ModelHead) -> None:
    """Write a row per object; of classify a row per image and class, the most probable first."""
    boxes = () if head.task == "classify" else _BOX_COLUMNS
    with _replace_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "class", "name", "score", *boxes, *_EXTRA_COLUMNS.get(head.task, ())])
        for result in read_results(journal):
            for row in result.rows:
                cls = row["category_id"] - 1
                fields = [result.name, cls, head.names[cls], row["score"]]
                table.writerow([*fields, *_list_box(row), *_list_extra(row, head.task)])


def write_unreadable(path: Path, errors: Iterable[tuple[str, str]]) -> None:
    """Write the files that could not be read, and why."""
    with _replace_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "reason"])
        table.writerows(errors)


def _number(journal: Path) -> Iterator[tuple[int, ImageResult]]:
    return enumerate(read_results(journal), 1)


def _build_image_row(numbered: tuple[int, ImageResult]) -> dict[str, Any]:
    number, result = numbered
    return {"id": number, "file_name": result.name, "width": result.size[0], "height": result.size[1]}


def _build_annotations(journal: Path) -> Iterator[dict[str, Any]]:
    number = 0
    for image, result in _number(journal):
        for row in result.rows:
            number += 1
            found = {key: value for key, value in row.items() if key != OUTLINE}
            yield {"id": number, "image_id": image, **found, "iscrowd": 0}


def _write_rows(file: IO[str], rows: Iterable[dict[str, Any]]) -> None:
    separator = ""
    for row in rows:
        file.write(f"{separator}{dump_compact(row)}")
        separator = ",\n"


def _list_box(row: dict[str, Any]) -> list[float]:
    if "bbox" not in row:
        return []
    x, y, width, height = row["bbox"]
    return [x, y, round(x + width, 2), round(y + height, 2)]


def _list_extra(row: dict[str, Any], task: Task) -> list[Any]:
    """Return the corners as columns; outlines and points as text in one column."""
    if task == "obb":
        return list(row[CORNERS])
    return [" ".join(map(str, row[column])) for column in _EXTRA_COLUMNS.get(task, ())]


@contextmanager
def _replace_file(path: Path) -> Iterator[IO[str]]:
    """Yield a text file that takes the place of `path` at the end, when all of it is on the disk."""
    prefix = f".{path.name}.{TEMPORARY_MARK}"
    with NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=prefix, delete=False
    ) as file:
        part = Path(file.name)
        try:
            with name_failed_path(path):
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

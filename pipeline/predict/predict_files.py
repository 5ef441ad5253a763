"""Predict on many files: threads read ahead of the model, and write behind it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.predict.build_result import build_result
from pipeline.predict.image_files import LABELS_FOLDER, PICTURES_FOLDER, write_labels, write_picture
from pipeline.predict.journal import EarlierResults, ImageResult, Journal
from pipeline.predict.list_files import SourceFile
from pipeline.predict.read_frames import MAX_BYTES_AHEAD, Frame, read_frames
from pipeline.predict.read_video import count_frames
from pipeline.predict.request import PredictionRequest
from pipeline.runtime.progress import Progress
from pipeline.runtime.worker_count import choose_worker_count
from pipeline.yolo.inference.loaded_model import LoadedModel

BATCHES_AHEAD: Final = 2
"""Batches that are decoded ahead of the model, and as many that are written behind it."""


@dataclass
class PredictionCounts:
    """What a run did.

    Args:
        images: Images and frames that were predicted on.
        earlier: Images and frames of earlier runs.
        objects: Objects found in this run; of classify images.
        full: Images with as many detections as max_det allows: more may be there.
        noted: Images with a note, such as several frames.
        seconds: How long the model was at work, with reading and writing.
    """

    images: int = 0
    earlier: int = 0
    objects: int = 0
    full: int = 0
    noted: list[str] = field(default_factory=list)
    seconds: float = 0.0


class FilePredictor:
    """Predicts on files with one model, and writes what was found in each.

    Args:
        request: See `PredictionRequest`.
        journal: The file of the journal.
        model: The model.
    """

    def __init__(self, request: PredictionRequest, journal: Path, model: LoadedModel) -> None:
        self._request, self._journal, self._model = request, journal, model
        self._settings = request.chosen.settings
        self._counts = PredictionCounts()

    def predict_files(self, files: Sequence[SourceFile], earlier: EarlierResults) -> PredictionCounts:
        """Predict on what no earlier run has done; each result is in the journal at the end."""
        left = [file for file in files if file.name not in earlier.images]
        done = (
            sum(earlier.frames.values())
            + sum(not file.is_video for file in files)
            - sum(not file.is_video for file in left)
        )
        self._counts.earlier = done
        workers, ahead = choose_worker_count(), BATCHES_AHEAD * self._settings["batch"]
        start = time.monotonic()
        with (
            closing(read_frames(left, earlier.frames, ahead=ahead, workers=workers)) as frames,
            Journal(self._journal) as journal,
            ThreadPoolExecutor(workers, thread_name_prefix="write") as pool,
            Progress("predict", _count_images(files), done=done) as progress,
        ):
            waiting: deque[tuple[Frame, Future[ImageResult] | None]] = deque()
            for chunk in _iterate_chunks(frames, ahead):
                for one in self._predict_chunk(chunk, pool):
                    waiting.append(one)
                    self._record(waiting, journal, progress, keep=ahead)
            self._record(waiting, journal, progress, keep=0)
        self._counts.seconds = time.monotonic() - start
        return self._counts

    def _predict_chunk(
        self, chunk: Sequence[Frame], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[Frame, Future[ImageResult] | None]]:
        found = iter(self._model.predict([frame.image for frame in chunk if frame.image is not None]))
        for frame in chunk:
            yield frame, None if frame.image is None else pool.submit(self._write_image, frame, next(found))

    def _write_image(self, frame: Frame, found: Any) -> ImageResult:
        result = build_result(frame, found, self._model.task)
        formats, folder, names = self._request.formats, self._request.output, self._model.names
        if "yolo" in formats:
            write_labels(folder / LABELS_FOLDER, result, self._model.task, names)
        if "pictures" in formats and frame.number is None and frame.image is not None:
            write_picture(folder / PICTURES_FOLDER, frame.image, result, self._model.task, names)
        return result

    def _record(
        self,
        waiting: deque[tuple[Frame, Future[ImageResult] | None]],
        journal: Journal,
        progress: Progress,
        *,
        keep: int,
    ) -> None:
        """Write the first complete results to the journal; wait for them while there are more than `keep`."""
        while waiting and (len(waiting) > keep or _is_complete(waiting[0])):
            frame, future = waiting.popleft()
            if future is not None:
                result = future.result()
                journal.add_result(result, frame.file)
                self._count(result)
            elif frame.error:
                journal.add_error(frame.file, frame.error)
            else:
                journal.add_end(frame.file)
            progress.update(future is not None or not frame.file.is_video)
        journal.flush()

    def _count(self, result: ImageResult) -> None:
        counts = self._counts
        counts.images += 1
        classifies = self._model.task == "classify"
        counts.objects += 0 if classifies else len(result.rows)
        counts.full += not classifies and len(result.rows) >= self._settings["max_det"]
        if result.note:
            counts.noted.append(f"{result.name} {result.note}")


def _is_complete(item: tuple[Frame, Future[ImageResult] | None]) -> bool:
    return item[1] is None or item[1].done()


def _iterate_chunks(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield frames in groups of `size`, or of fewer that fill the memory."""
    chunk: list[Frame] = []
    room = MAX_BYTES_AHEAD
    for frame in frames:
        length = 0 if frame.image is None else frame.image.nbytes
        if chunk and (len(chunk) == size or length > room):
            yield chunk
            chunk, room = [], MAX_BYTES_AHEAD
        chunk.append(frame)
        room -= length
    if chunk:
        yield chunk


def _count_images(files: Sequence[SourceFile]) -> int | None:
    """Return how many images and frames there are; None where a video does not say."""
    counts = [count_frames(file.path) if file.is_video else 1 for file in files]
    return sum(counts) if all(counts) else None

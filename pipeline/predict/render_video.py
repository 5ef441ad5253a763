"""Write a video with the objects that were found in its frames."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import cv2

from pipeline.core.errors import UserError
from pipeline.predict.image_files import draw_result, name_part
from pipeline.predict.journal import ImageResult
from pipeline.predict.list_files import SourceFile, name_video
from pipeline.predict.read_video import VideoFrames, read_frame_rate
from pipeline.predict.result_tables import ModelHead

CODEC: Final = "mp4v"
"""MPEG-4, which OpenCV's packages can encode everywhere."""


def get_video_path(folder: Path, file: SourceFile) -> Path:
    """Return where the video of a video is written."""
    return folder / name_video(file.output)


def render_video(path: Path, file: SourceFile, results: Iterable[ImageResult], head: ModelHead) -> None:
    """Write a video with its objects as MP4: whole, or not at all.

    Args:
        path: Where to write it.
        file: The video.
        results: Of its frames, in their order.
        head: Of the model.

    Raises:
        UserError: It cannot be encoded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = name_part(path)
    writer: cv2.VideoWriter | None = None
    written = 0
    try:
        with closing(VideoFrames(file.path)) as video:
            for (_, image), result in zip(video, results, strict=False):
                picture = draw_result(image, result, head.task, head.names)
                if writer is None:
                    size = (picture.shape[1], picture.shape[0])
                    writer = _open_writer(part, read_frame_rate(file.path), size)
                writer.write(picture)
                written += 1
        if writer is not None:
            writer.release()
            _require_frames(part, written, path)
            part.replace(path)
    finally:
        if writer is not None:
            writer.release()
        part.unlink(missing_ok=True)


def _require_frames(part: Path, written: int, path: Path) -> None:
    """Require that a video has its frames: OpenCV says nothing where the disk is full."""
    video = cv2.VideoCapture(str(part))
    found = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    video.release()
    if found != written:
        raise UserError(
            f"{path} could not be written: {found} of {written} frames are in it; make room on the disk, and "
            "run again"
        )


def _open_writer(part: Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*CODEC), rate, size)
    if not writer.isOpened():
        raise UserError(
            f"{part.parent} cannot get a video of {size[0]} x {size[1]} pixels: leave out pictures"
        )
    return writer

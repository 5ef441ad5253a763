"""Read images and the frames of videos ahead of the model, in threads, within a limit of memory."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.predict.list_files import SourceFile
from pipeline.predict.read_video import VideoFrames
from pipeline.prepare.images.check import MAX_FILE_BYTES
from pipeline.prepare.images.decode import MAX_PIXELS, decode_color, decode_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.images.truncation import is_complete

MAX_BYTES_AHEAD: Final = 512 * 2**20
"""Decoded images that wait for the model; one larger image waits alone."""
_HEADER_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
"""Those that prepare reads."""
_GUESSED_PIXELS: Final = MAX_PIXELS // 4
"""Of an image whose header does not say its size."""


class Frame(NamedTuple):
    """One image to predict on.

    Attributes:
        file: The image, or the video that it is in.
        image: (height, width, 3) BGR; None where it cannot be read, and at the end of a video.
        number: Of the frame in its video, from 1; None for an image.
        error: Why it cannot be read; empty where it can.
        note: What a user should know of it; may be empty.
    """

    file: SourceFile
    image: NDArray[np.uint8] | None
    number: int | None = None
    error: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Of the image, or of the frame: VIDEO/000001."""
        return self.file.name if self.number is None else f"{self.file.name}/{self.number:06d}"


def read_frames(
    files: Iterable[SourceFile], frames_done: Mapping[str, int], *, ahead: int, workers: int
) -> Generator[Frame]:
    """Yield all images, and all frames of videos, in the order of the files.

    Args:
        files: Images and videos.
        frames_done: How many frames of a video, by its name, were predicted on before.
        ahead: Images that are read ahead, at most.
        workers: Threads that decode.
    """
    waiting: deque[tuple[int, Callable[[], Iterator[Frame]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        for file in files:
            pixels = 0 if file.is_video else _read_pixel_count(file.path)
            while waiting and (
                len(waiting) >= ahead or 3 * (pixels + sum(each for each, _ in waiting)) > MAX_BYTES_AHEAD
            ):
                yield from waiting.popleft()[1]()
            if file.is_video:
                start = frames_done.get(file.name, 0)
                waiting.append((0, partial(_iterate_video, file, start, ahead)))
            else:
                waiting.append((pixels, _await_frame(pool.submit(_read_image, file))))
        while waiting:
            yield from waiting.popleft()[1]()
    finally:
        pool.shutdown(cancel_futures=True)


def _await_frame(future: Future[Frame]) -> Callable[[], Iterator[Frame]]:
    return lambda: iter((future.result(),))


def _read_image(file: SourceFile) -> Frame:
    try:
        image, note = decode_file(file.path)
    except UnusableImageError as error:
        return Frame(file, None, error=str(error))
    return Frame(file, image, note=note)


def decode_file(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Return the pixels of an image file as prepare and training read them, and a note about it.

    Returns:
        (height, width, 3) blue green red, turned by the EXIF orientation; and what is left out, if anything.

    Raises:
        UnusableImageError: It is missing, empty, damaged, cut short, too large, or no image.
        MemoryError: The memory is not enough.
    """
    data = _read_bytes(path)
    if is_complete(data):
        if _read_header_pixels(io.BytesIO(data)) > MAX_PIXELS:
            decode_image(data, path.suffix)  # says so
        return decode_color(data), ""
    header, _ = decode_image(data, path.suffix)
    return decode_color(data), "has several frames or pages: the first is used" if header.multiple else ""


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnusableImageError("giant-image", f"more than {MAX_FILE_BYTES:,} bytes are not read")
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise UnusableImageError("unreadable-image", f"cannot be read ({error.strerror})") from None
    if data is None:
        raise UnusableImageError("special-file", "no regular file")
    if not data:
        raise UnusableImageError("empty-image", "an empty file (0 bytes)")
    return data


def _read_pixel_count(path: Path) -> int:
    """Return the pixels that the header of an image file states, or a guess."""
    try:
        with path.open("rb") as file:
            return min(_read_header_pixels(file), MAX_PIXELS) or _GUESSED_PIXELS
    except OSError:
        return 0


def _read_header_pixels(file: io.BufferedReader | io.BytesIO) -> int:
    try:
        with Image.open(file, formats=_HEADER_FORMATS) as image:
            return image.width * image.height
    except MemoryError:
        raise
    except Exception:  # reported when it is decoded
        return 0


def _iterate_video(file: SourceFile, start: int, ahead: int) -> Iterator[Frame]:
    """Yield the frames of a video after the first ones, then its end, with an error if it has one."""
    with closing(VideoFrames(file.path, start=start, ahead=ahead)) as video:
        for number, image in video:
            yield Frame(file, image, number)
        yield Frame(file, None, error=video.error)

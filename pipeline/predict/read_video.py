"""Decode the frames of a video in a thread, a few ahead of what is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_BYTES_AHEAD: Final = 256 * 2**20
"""Decoded frames that wait."""
_TOLERANCE: Final = 2
"""Frames by which the header of a complete video may be wrong."""


class VideoFrames:
    """The frames of a video, in order, each with its number from 1. Iterate once, then close it.

    Attributes:
        error: Why it cannot be read, or not to its end; empty where it can. Known after the iteration.
    """

    def __init__(self, path: Path, *, start: int = 0, ahead: int = 16) -> None:
        """Open a video.

        Args:
            path: The file.
            start: Frames at the beginning that are passed over.
            ahead: Frames that are decoded ahead, at most.
        """
        self.error = ""
        self._start, self._stop = start, threading.Event()
        self._capture = open_video(path)
        self._stated = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        pixels = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH) * self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        room = int(MAX_BYTES_AHEAD // max(1, 3 * pixels))
        self._queue: queue.Queue[Any] = queue.Queue(max(1, min(ahead, room)))
        self._thread = threading.Thread(target=self._decode, name="decode-video", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        number = self._start
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            number += 1
            yield number, item
        self.error = self._describe_end(number)

    def close(self) -> None:
        """Stop decoding."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._capture.release()

    def _decode(self) -> None:
        try:
            for _ in range(self._start):
                if self._stop.is_set() or not self._capture.grab():
                    break
            while not self._stop.is_set():
                found, image = self._capture.read()
                if not found:
                    break
                self._queue.put(np.asarray(image, np.uint8))
        except BaseException as error:  # such as too little memory: raised where the frames are used
            self._queue.put(error)
        else:
            self._queue.put(None)

    def _describe_end(self, frames: int) -> str:
        if not frames:
            return "not a video that can be read"
        if frames < self._stated - _TOLERANCE:
            return f"damaged or cut short: {frames:,} of {self._stated:,} frames can be read"
        return ""


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video, whose frames are turned as its container says.

    An absolute path is opened: FFmpeg would take `concat:x.mp4` for something else than a file.
    """
    return cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)


def count_frames(path: Path) -> int:
    """Return how many frames the header of a video states; 0 where it does not say."""
    capture = open_video(path)
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        capture.release()


def read_frame_rate(path: Path) -> float:
    """Return the frames per second of a video; 25 where it does not say."""
    capture = open_video(path)
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    return rate if 0 < rate <= 1000 else 25.0

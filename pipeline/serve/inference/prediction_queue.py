"""The queue between the requests and the model. One thread takes from it, and hands over to another one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections
from pipeline.serve.inference.model_identity import ModelIdentity


class RequestResult(NamedTuple):
    """The predictions for one request.

    Attributes:
        predictions: Of each image in order: detections, or the probabilities (classes,) of classify.
        model: The model that made all of them.
        waited: Seconds in the queue.
        predicted: Seconds of the batch that the images were part of.
    """

    predictions: Sequence[Detections | NDArray[np.float64]]
    model: ModelIdentity
    waited: float
    predicted: float


class PredictionJob:
    """The images of one request, until they are predicted on.

    Attributes:
        images: (height, width, 3) BGR each.
        shape: Of all images; None if they differ.
        future: The result; cancel it when the client is gone.
        queued: When it was queued, by time.monotonic.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        shapes = {image.shape for image in images}
        self.images = images
        self.shape = shapes.pop() if len(shapes) == 1 else None
        self.future: Future[RequestResult] = Future()
        self.queued = time.monotonic()


class PredictionQueue:
    """Jobs in the order of their arrival. Only the thread that serves takes from it."""

    def __init__(self) -> None:
        self._jobs: deque[PredictionJob] = deque()
        self._changed = threading.Condition()
        self._server: object | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: PredictionJob) -> None:
        """Add a job at the end.

        Raises:
            RuntimeError: The queue is closed.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("the server stops")
            self._jobs.append(job)
            self._changed.notify_all()

    def hand_over(self, server: object) -> Any:
        """Let another thread take from the queue from now on; the present one gets no more jobs.

        Returns:
            The one that took until now, or None.
        """
        with self._changed:
            before, self._server = self._server, server
            self._changed.notify_all()
            return before

    def take(self, server: object, *, most: int, is_over: Callable[[], bool]) -> list[PredictionJob]:
        """Wait for the next jobs: the first, and those of the same shape that fit into one batch with it.

        Args:
            server: Who asks.
            most: Images of a batch. A job of more images, or of several shapes, is taken alone.
            is_over: Whether it asks no more. `wake` lets it be asked again.

        Returns:
            The jobs; none when it is over, or the queue is closed.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._may_take(server) or is_over() or self._closed)
                if not self._may_take(server):
                    return []
                if jobs := [job for job in self._pop_batch(most) if _begin(job)]:
                    return jobs

    def wake(self) -> None:
        """Let waiting threads look whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()

    def close(self, error: Exception) -> None:
        """Accept no more jobs; those that still wait get the error."""
        with self._changed:
            self._closed = True
            while self._jobs:
                job = self._jobs.popleft()
                if _begin(job):
                    job.future.set_exception(error)
            self._changed.notify_all()

    def _may_take(self, server: object) -> bool:
        return self._server is server and bool(self._jobs)

    def _pop_batch(self, most: int) -> list[PredictionJob]:
        first = self._jobs.popleft()
        taken, room = [first], most - len(first.images)
        if first.shape is None:
            return taken
        rest: list[PredictionJob] = []
        while self._jobs and room > 0:
            job = self._jobs.popleft()
            fits = job.shape == first.shape and len(job.images) <= room
            (taken if fits else rest).append(job)
            room -= len(job.images) if fits else 0
        self._jobs.extendleft(reversed(rest))
        return taken


def _begin(job: PredictionJob) -> bool:
    """Mark a job as running; False if it was cancelled before."""
    return job.future.set_running_or_notify_cancel()

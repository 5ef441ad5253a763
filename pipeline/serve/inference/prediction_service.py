"""The model that answers now, its queue, and its replacement by another one without a lost request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.inference.model_thread import ModelThread, ModelToServe
from pipeline.serve.inference.prediction_queue import PredictionJob, PredictionQueue
from pipeline.serve.server_metrics import ServerMetrics
from pipeline.serve.uploads.limits import RequestError

CLOSE_SECONDS = 30.0
"""To wait for the batch that runs when the server stops."""


class ReloadFailure(NamedTuple):
    """Why a new model is not served.

    Attributes:
        sentence: The reason.
        since: Seconds since 1970.
    """

    sentence: str
    since: float


class PredictionService:
    """Predicts on the images of requests, with one model at a time.

    Attributes:
        metrics: What is counted.
        failure: Why the last look for a new model failed; None if it did not.
    """

    def __init__(self, model: ModelToServe) -> None:
        """Load the model.

        Raises:
            UserError: The weights cannot be used.
        """
        self.metrics = ServerMetrics()
        self.failure: ReloadFailure | None = None
        self._queue = PredictionQueue()
        self._thread = self._load(model)
        self._queue.hand_over(self._thread)

    @property
    def identity(self) -> ModelIdentity:
        """The model that gets the next batch."""
        return self._thread.identity

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def is_alive(self) -> bool:
        """Whether the model can answer."""
        return self._thread.is_alive()

    def submit(self, images: Sequence[NDArray[np.uint8]]) -> PredictionJob:
        """Queue the images of a request.

        Raises:
            RequestError: The server stops, or its model has failed (503).
        """
        job = PredictionJob(images)
        try:
            if not self.is_alive:
                raise RuntimeError("the model has failed")
            self._queue.put(job)
        except RuntimeError as error:
            raise RequestError(503, f"{error}: send the request again, or to another server") from None
        return job

    def replace(self, model: ModelToServe) -> None:
        """Load another model, and let it take over; the present one ends after its batch.

        Requests are answered by the present one meanwhile.

        Raises:
            UserError: The weights cannot be used; the present model stays.
        """
        thread = self._load(model)
        before, self._thread = self._thread, thread
        self._queue.hand_over(thread)
        before.finish()
        self.failure = None
        self.metrics.count_reload(failed=False)

    def note_failure(self, sentence: str) -> bool:
        """Note why no new model is served; return whether that is news."""
        self.metrics.count_reload(failed=True)
        if self.failure and self.failure.sentence == sentence:
            return False
        self.failure = ReloadFailure(sentence, time.time())
        return True

    def close(self) -> None:
        """Stop after the batch that runs; what still waits gets an error."""
        self._queue.close(RequestError(503, "the server stops: send the request again"))
        self._thread.finish()
        self._thread.join(CLOSE_SECONDS)

    def _load(self, model: ModelToServe) -> ModelThread:
        thread = ModelThread(model, self._queue, on_batch=self.metrics.count_batch)
        thread.load()
        return thread

"""The thread that holds a model: it loads it, predicts on what is queued, and releases it."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.progress import print_notice
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.inference.prediction_queue import PredictionJob, PredictionQueue, RequestResult
from pipeline.serve.uploads.limits import RequestError
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel


class ModelToServe(NamedTuple):
    """A model that is on this machine, and how to predict with it.

    Attributes:
        weights: The file.
        settings: How to predict.
        identify: Builds its identity from the loaded model.
    """

    weights: Path
    settings: InferenceSettings
    identify: Callable[[LoadedModel], ModelIdentity]


class ModelThread(threading.Thread):
    """Holds one model from its load to its end. All work on it is done in this thread."""

    def __init__(
        self,
        model: ModelToServe,
        queue: PredictionQueue,
        *,
        on_batch: Callable[[int, float], None] = lambda _images, _seconds: None,
    ) -> None:
        """Prepare it.

        Args:
            model: What is loaded.
            queue: What it predicts on, once `queue.hand_over` names this thread.
            on_batch: Gets the number of images and the seconds of each batch.
        """
        super().__init__(name="serve-model", daemon=True)
        self._model, self._queue, self._on_batch = model, queue, on_batch
        self._loaded, self._over = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._identity: ModelIdentity | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Which model it is, once it is loaded."""
        if self._identity is None:
            raise RuntimeError("the model is not loaded")
        return self._identity

    def load(self) -> None:
        """Start the thread, and wait until the model is loaded and has predicted once.

        Raises:
            UserError: The weights cannot be used.
        """
        self.start()
        self._loaded.wait()
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Let it end after its present batch."""
        self._over.set()
        self._queue.wake()

    def run(self) -> None:
        """Load, serve, release."""
        try:
            self._load_and_serve()
        except BaseException as error:
            self._error = error
            if self._loaded.is_set():
                raise
        finally:
            self._loaded.set()
            gc.collect()  # networks refer to themselves; Python rarely collects that among many objects

    def _load_and_serve(self) -> None:
        with LoadedModel(self._model.weights, settings=self._model.settings, stage="serve") as model:
            size = self._model.settings["imgsz"]
            model.predict([np.zeros((size, size, 3), np.uint8)])  # the first prediction takes longer
            self._identity = self._model.identify(model)
            self._loaded.set()
            self._serve(model)

    def _serve(self, model: LoadedModel) -> None:
        most = self._model.settings["batch"]
        while jobs := self._queue.take(self, most=most, is_over=self._over.is_set):
            try:
                self._predict(model, jobs)
            except Exception as error:
                self._fail(model, jobs, error)

    def _predict(self, model: LoadedModel, jobs: Sequence[PredictionJob]) -> None:
        start = time.monotonic()
        images = [image for job in jobs for image in job.images]
        predictions: Sequence[Any] = model.predict(images)
        seconds = time.monotonic() - start
        self._on_batch(len(images), seconds)
        at = 0
        for job in jobs:
            own, at = predictions[at : at + len(job.images)], at + len(job.images)
            job.future.set_result(RequestResult(own, self.identity, start - job.queued, seconds))

    def _fail(self, model: LoadedModel, jobs: Sequence[PredictionJob], error: Exception) -> None:
        """Try each job of a failed batch alone: one of them must not fail the others."""
        if len(jobs) == 1:
            print_notice(f"serve: a prediction failed: {type(error).__name__}: {error}")
            jobs[0].future.set_exception(_build_answer(error))
            return
        for job in jobs:
            try:
                self._predict(model, [job])
            except Exception as own:
                self._fail(model, [job], own)


def _build_answer(error: Exception) -> RequestError:
    sentence = str(error) if isinstance(error, UserError) else describe_machine_error(error)
    if sentence is not None:
        return RequestError(503, sentence)
    return RequestError(500, "the model failed on this request; the server's log says more")

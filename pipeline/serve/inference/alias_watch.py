"""Look every few seconds whether the alias of the served model has moved, and load what it names then."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.progress import print_notice
from pipeline.serve.inference.find_model import AliasPosition
from pipeline.serve.inference.model_thread import ModelToServe
from pipeline.serve.inference.prediction_service import PredictionService


class AliasWatch(threading.Thread):
    """Replaces the model of a service when the alias moves. A failure leaves the present model in place."""

    def __init__(
        self,
        service: PredictionService,
        position: AliasPosition,
        *,
        find_position: Callable[[], AliasPosition],
        find_model: Callable[[], tuple[AliasPosition, ModelToServe]],
        seconds: float,
    ) -> None:
        """Prepare it.

        Args:
            service: It gets the new model.
            position: What it serves now.
            find_position: Asks MLflow where the alias points.
            find_model: Finds and fetches the model that the alias names.
            seconds: Between two looks.
        """
        super().__init__(name="serve-alias", daemon=True)
        self._service, self._position, self._seconds = service, position, seconds
        self._find_position, self._find_model = find_position, find_model
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `stop`."""
        while not self._over.wait(self._seconds):
            try:
                self._look()
            except Exception as error:  # the server must go on, whatever MLflow or a file does
                self._note(error)

    def stop(self) -> None:
        """End after the present look."""
        self._over.set()

    def _look(self) -> None:
        if self._find_position() == self._position:
            self._service.failure = None
            return
        position, model = self._find_model()
        self._service.replace(model)
        self._position = position
        print_notice(f"serve: the alias has moved: {self._service.identity.describe()} answers now")

    def _note(self, error: Exception) -> None:
        sentence = str(error) if isinstance(error, UserError) else describe_machine_error(error)
        sentence = sentence or f"{type(error).__name__}: {error}"
        if self._service.note_failure(sentence):
            print_notice(f"serve: {sentence}; {self._service.identity.describe()} answers on")

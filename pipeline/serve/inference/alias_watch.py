"""Look every few seconds whether the alias of the served model has moved, and load what it names then."""

from __future__ import annotations

import threading
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.progress import print_notice
from pipeline.serve.inference.find_model import AliasPosition, ModelRequest, find_alias_position, find_model
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.tracking.store.tracked_runs import RunReader

STOP_SECONDS: Final = 5.0
"""To wait for a look that is under way when the server stops."""


class AliasWatch(threading.Thread):
    """Replaces the model of a service when the alias moves. A failure leaves the present model in place."""

    def __init__(
        self, service: PredictionService, request: ModelRequest, position: AliasPosition, *, seconds: float
    ) -> None:
        """Prepare it.

        Args:
            service: It gets the new model.
            request: What names the model.
            position: Where the alias pointed when the served model was found.
            seconds: Between two looks.
        """
        super().__init__(name="serve-alias", daemon=True)
        self._service, self._request, self._position = service, request, position
        self._seconds, self._over = seconds, threading.Event()
        self._reader = RunReader(request.target)

    def run(self) -> None:
        """Look until `stop`."""
        while not self._over.wait(self._seconds):
            try:
                self.look()
            except Exception as error:  # the server must go on, whatever MLflow or a file does
                self._note(error)

    def stop(self) -> None:
        """End after the present look."""
        self._over.set()
        if self.ident is not None:
            self.join(STOP_SECONDS)

    def look(self) -> None:
        """Load the model that the alias names, if that is another one than the served one.

        Raises:
            UserError: MLflow does not answer, or the model cannot be loaded.
        """
        if find_alias_position(self._request, self._reader) == self._position:
            self._service.failure = None
            return
        found = find_model(self._request)
        self._service.replace(found.model)
        self._position = found.position or self._position
        print_notice(f"serve: the alias has moved: {self._service.identity.describe()} answers now")

    def _note(self, error: Exception) -> None:
        self._reader = RunReader(self._request.target)
        sentence = str(error) if isinstance(error, UserError) else describe_machine_error(error)
        sentence = sentence or f"{type(error).__name__}: {error}"
        if self._service.note_failure(sentence):
            print_notice(f"serve: {sentence}; {self._service.identity.describe()} answers on")

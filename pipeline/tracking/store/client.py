"""Create the MLflow client: process-wide settings, the experiment, and the database when it is needed."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pipeline.runtime.gc_pause import pause_gc
from pipeline.tracking.store.database import prepare_database
from pipeline.tracking.store.experiment_view import VIEW_TAG, build_view
from pipeline.tracking.store.outage import StoreUnavailableError, is_denied
from pipeline.tracking.target import TrackingTarget

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development", VIEW_TAG: build_view()}
"""With the kind MLflow shows the pages for model training, not those for agents and prompts; and a view."""


class MlflowClientCache:
    """The client of one MLflow store, and its experiment. It opens and sends nothing before it is needed."""

    def __init__(self, target: TrackingTarget) -> None:
        _set_mlflow_environment(target)
        with pause_gc():
            import mlflow

            if target.database:
                from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 (the client needs it, too)

        self.target = target
        self._create_client = mlflow.MlflowClient

    @cached_property
    def client(self) -> Any:
        """MLflow's client; a database is created, migrated and opened first.

        Raises:
            UserError: The database cannot be used.
            DatabaseLockedError: Another process holds the lock of the database.
        """
        if self.target.database:
            prepare_database(self.target)
        return self._create_client(
            tracking_uri=self.target.address, registry_uri=self.target.registry_address
        )

    @property
    def is_open(self) -> bool:
        """Whether the store was opened."""
        return "client" in self.__dict__

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment. It is created if it does not exist; several processes may try at once."""
        from mlflow.exceptions import MlflowException

        name = self.target.experiment
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                location = self.target.artifact_location
                return str(self.client.create_experiment(name, location, tags=EXPERIMENT_TAGS))
            except MlflowException as error:
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise error from None
        if found.lifecycle_stage != "active":
            raise StoreUnavailableError(
                f"the MLflow experiment {name} was deleted: restore it, or set tracking.experiment"
            )
        if VIEW_TAG not in found.tags:
            with contextlib.suppress(MlflowException):  # the user may write runs, and not the experiment
                self.client.set_experiment_tag(found.experiment_id, VIEW_TAG, EXPERIMENT_TAGS[VIEW_TAG])
        return str(found.experiment_id)

    def get_run(self, run_id: str) -> Any:
        """Return a run of any experiment, also a deleted one; None if there is none.

        A server with users and permissions says of a run that does not exist that it may not be read. It
        counts as absent if the user may read the experiment, and the experiment does not have it.
        """
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            if not is_denied(error):
                raise
            found = self.client.get_experiment_by_name(self.target.experiment)
            condition = f"attributes.run_id = '{run_id}'"
            if found is None or self.client.search_runs([found.experiment_id], condition, ViewType.ALL, 1):
                raise
            return None

    def search_runs(self, condition: str, *, limit: int = 1) -> list[Any]:
        """Return the newest runs of the experiment that match MLflow's filter expression."""
        return list(self.client.search_runs([self.experiment], filter_string=condition, max_results=limit))


@contextlib.contextmanager
def allow_upload_time(target: TrackingTarget, seconds: float) -> Iterator[None]:
    """Let calls in the block take so many seconds more: a server may pass a file on before it answers."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # MLflow reads it at each call
    os.environ[name] = str(math.ceil(target.timeout + seconds))
    try:
        yield
    finally:
        os.environ[name] = str(math.ceil(target.timeout))


def _set_mlflow_environment(target: TrackingTarget) -> None:
    """Set MLflow's environment variables: no telemetry, no call that is queued or waits for minutes."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
    # A queued call reports a failure to a log alone, after its message was marked as sent.
    os.environ |= {"MLFLOW_ENABLE_ASYNC_LOGGING": "false"}
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(target.timeout))}
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:  # also where MLflow was imported before
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox retries in the background
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Files only through the server: this machine may not reach what is behind it.
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # the sender reports errors itself, once
    }.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.CRITICAL)

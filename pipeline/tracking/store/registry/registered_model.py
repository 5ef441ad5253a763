"""The registered model of MLflow: its creation, aliases, and errors as sentences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from filelock import FileLock, Timeout

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.outage import describe_failure, is_denied, is_outage
from pipeline.tracking.target import TrackingTarget

CHAMPION: Final = "champion"
"""The alias of the version that is in use."""
CHALLENGER: Final = "challenger"
"""The alias of the version that was registered last to take the place of the champion."""
HISTORY_RUN_TAG: Final = "finetrack.champion.run"
"""Tag of the registered model: the run whose parameters hold the changes of the champion."""
REGISTRY_TAG: Final = "finetrack.registry"
"""Tag of that run: the name of the registered model."""
LOCK_WAIT_SECONDS: Final = 60.0
"""Seconds to wait for another command of this project that writes to the registry."""


class RegistryUnavailableError(UserError):
    """MLflow's registry cannot be used now."""


@contextlib.contextmanager
def hold_registry_lock(target: TrackingTarget) -> Iterator[None]:
    """Let the commands of this project write to the registry one after another.

    Commands of other projects and machines do not see this lock; what they write is checked besides.

    Raises:
        RegistryUnavailableError: Another command holds it for too long, or MLflow does not answer.
    """
    lock = FileLock(create_scratch_folder("locks") / "mlflow-registry.lock")
    try:
        lock.acquire(timeout=LOCK_WAIT_SECONDS)
    except Timeout:
        raise RegistryUnavailableError(
            "another command writes to the model registry: wait for it to end, then run again"
        ) from None
    try:
        with registry_errors_as_sentences(target):
            yield
    finally:
        lock.release()


@contextlib.contextmanager
def registry_errors_as_sentences(target: TrackingTarget) -> Iterator[None]:
    """Turn errors of MLflow into sentences for the user; other errors are faults of the code.

    Raises:
        RegistryUnavailableError: MLflow does not answer now.
        UserError: MLflow refuses, and would again.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_outage(error) and not isinstance(error, MlflowException):
            raise
        kind = RegistryUnavailableError if is_outage(error) else UserError
        raise kind(
            f"the model registry of MLflow at {target.uri} cannot be used: {describe_failure(error)}"
        ) from error


def find_registered_model(store: MlflowClientCache, name: str) -> Any:
    """Return MLflow's registered model; None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def ensure_registered_model(store: MlflowClientCache, name: str) -> Any:
    """Return the registered model, created if there is none, with the run that holds its champions.

    Two processes may create it at once: MLflow lets one of them, and the other one's run is deleted.
    """
    from mlflow.exceptions import MlflowException

    found = find_registered_model(store, name)
    if found is not None:
        return found
    run_id = create_history_run(store, name)
    try:
        store.client.create_registered_model(name, tags={HISTORY_RUN_TAG: run_id})
    except MlflowException as error:
        _delete_unused_run(store, run_id)
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return store.client.get_registered_model(name)


def _delete_unused_run(store: MlflowClientCache, run_id: str) -> None:
    """Delete a run that another process's run made needless, if this user may delete runs."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.delete_run(run_id)
    except MlflowException as error:
        if not is_denied(error):
            raise


def create_history_run(store: MlflowClientCache, name: str) -> str:
    """Create the run whose parameters hold the changes of the champion, and return its id."""
    note = (
        f"The champions of the registered model `{name}`: a parameter for each change, which MLflow never "
        "lets anybody change. `promote` and `rollback` need this run."
    )
    tags = {REGISTRY_TAG: name, "mlflow.note.content": note}
    run = store.client.create_run(store.experiment, tags=tags, run_name=f"champions of {name}")
    store.client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def find_aliased_version(store: MlflowClientCache, name: str, alias: str) -> str | None:
    """Return the number of the version that has the alias; None if no version has it."""
    model = find_registered_model(store, name)
    version = model.aliases.get(alias) if model else None
    return None if version is None else str(version)


def has_version(store: MlflowClientCache, name: str, version: str) -> bool:
    """Check whether a version of the registered model exists."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True

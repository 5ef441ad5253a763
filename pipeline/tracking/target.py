"""The tracking target: the address of the MLflow store, where it keeps files, and what names another one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pipeline.config.tracking_uri import check_tracking_uri, sqlite_file
from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import project_root

_SPECIAL_CHARACTERS: Final = frozenset("?#%")
"""They begin a query or a fragment of a URI, or an escape."""
PLACE_VARIABLES: Final = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_RUN_ID",
)
"""MLflow's variables that tell its own programs which store, experiment and run to use."""


def format_sqlite_uri(file: Path) -> str:
    """Return the URI of a SQLite file; relative to the working folder if its path has special characters."""
    return f"sqlite:///{os.path.relpath(file) if _SPECIAL_CHARACTERS & {*str(file)} else file}"


@dataclass(frozen=True)
class TrackingTarget:
    """The MLflow store and the experiment that runs are logged to.

    Args:
        uri: `sqlite:///FILE` (relative to the project's folder) or a server's address.
        experiment: The name of the MLflow experiment.
        timeout: Seconds that one call to the store may take.
        system_metrics: Whether the load of CPU, memory, disk, network and GPU is logged.
    """

    uri: str
    experiment: str
    timeout: float = 10.0
    system_metrics: bool = False

    def __post_init__(self) -> None:
        try:
            check_tracking_uri(self.uri)
        except ValueError as error:
            raise UserError(str(error)) from None

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for a server."""
        file = sqlite_file(self.uri)
        return project_root() / file if file else None

    @property
    def address(self) -> str:
        """The URI for MLflow: absolute, so that it is the same store from any working directory.

        Relative where the path holds characters that a URI of SQLAlchemy cannot.
        """
        return format_sqlite_uri(self.database) if self.database else self.uri

    @property
    def is_own_database(self) -> bool:
        """Whether the store is a SQLite file in the project's folder, which moves with it."""
        return self.database is not None and self.database.parent.resolve().is_relative_to(project_root())

    @property
    def artifact_root(self) -> str | None:
        """The URI of the folder for uploaded files; None where the server decides.

        Beside a SQLite file of another folder, which several projects may use: one, and what it restored.
        """
        if self.database is None:
            return None
        root = project_root() if self.is_own_database else self.database.parent
        return (root / "mlruns").as_uri()

    @property
    def artifact_location(self) -> str | None:
        """The URI of the folder for the experiment's files; None where the server decides."""
        return self.artifact_root and f"{self.artifact_root}{self.experiment_path}"

    @property
    def experiment_path(self) -> str:
        """The path of the experiment's files below the artifact root, with a slash before it."""
        return f"/{quote(self.experiment, safe='')}"

    @property
    def registry_address(self) -> str | None:
        """The URI of the model registry: that of the runs; None on Databricks, where MLflow chooses one."""
        return None if self.uri.startswith("databricks") else self.address

    def list_unused_variables(self) -> tuple[str, ...]:
        """List MLflow's environment variables that name another place than the configuration.

        The configuration decides, since DVC records it with the results. The values are left out: an address
        may hold a password.
        """
        values = {name: os.environ.get(name, "") for name in PLACE_VARIABLES}
        same = {
            "MLFLOW_TRACKING_URI": self._is_same_store(values["MLFLOW_TRACKING_URI"]),
            "MLFLOW_REGISTRY_URI": self.registry_address is None
            or self._is_same_store(values["MLFLOW_REGISTRY_URI"]),
            "MLFLOW_EXPERIMENT_NAME": values["MLFLOW_EXPERIMENT_NAME"] == self.experiment,
        }
        return tuple(name for name, value in values.items() if value and not same.get(name, False))

    def _is_same_store(self, uri: str) -> bool:
        file = sqlite_file(uri)
        if file and self.database:
            return (project_root() / file).resolve() == self.database.resolve()
        return uri.rstrip("/") == self.uri.rstrip("/")


def describe_unused_variables(target: TrackingTarget) -> str:
    """Describe the variables that are not used, and where runs and models go; empty if there are none."""
    names = target.list_unused_variables()
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{' and '.join(names)} {verb} set, and not used: runs and models go to the experiment "
        f"{target.experiment} of {target.uri}, as tracking.uri and tracking.experiment say"
    )

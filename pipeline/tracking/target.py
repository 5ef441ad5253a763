"""Where the runs go: the store's address, and what this project makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.config import stores
from pipeline.core.errors import UserError
from pipeline.storage.files import project_root


@dataclass(frozen=True)
class TrackingTarget:
    """Where the runs go.

    Args:
        uri: `sqlite:///FILE` (relative to the project's folder) or a server's address.
        experiment: The name under which MLflow groups the runs.
        timeout: Seconds that one call to the store may take.
        system_metrics: Whether the load of processor, memory, disk, network and accelerator is logged.
    """

    uri: str
    experiment: str
    timeout: float = 10.0
    system_metrics: bool = False

    def __post_init__(self) -> None:
        try:
            stores.check(self.uri)
        except ValueError as error:
            raise UserError(str(error)) from None

    @property
    def database(self) -> Path | None:
        """The sqlite file, or None where the runs go elsewhere."""
        file = stores.database(self.uri)
        return project_root() / file if file else None

    @property
    def address(self) -> str:
        """The address that MLflow takes: the same store from whatever folder a stage runs in."""
        return f"sqlite:///{self.database}" if self.database else self.uri

    @property
    def artifacts(self) -> str | None:
        """Where uploaded files go; None where the server decides."""
        return (project_root() / "mlruns").as_uri() if self.database else None

    @property
    def place(self) -> str | None:
        """Where the experiment's files go; None where the server decides."""
        return self.artifacts and f"{self.artifacts}/{quote(self.experiment, safe='')}"

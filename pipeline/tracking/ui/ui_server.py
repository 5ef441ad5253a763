"""Plan the command that starts the MLflow UI: which store, which address, and who may ask it for pages."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.tracking.target import TrackingTarget
from pipeline.tracking.ui.listen_address import ALL_ADDRESSES, bracket_host, list_names, require_free_port

DEFAULT_HOST: Final = "127.0.0.1"


class UiServer(NamedTuple):
    """A server of MLflow's pages on this machine.

    Attributes:
        command: That starts it, and ends when it is stopped.
        address: To open in a browser on this machine.
        others: Addresses for the browsers of other machines; empty if it answers this machine alone.
    """

    command: tuple[str, ...]
    address: str
    others: tuple[str, ...]


def plan_ui_server(target: TrackingTarget, host: str, port: int) -> UiServer:
    """Plan the server, and require that its port is free.

    MLflow refuses requests with a host or an origin that it was not told, which protects its pages from other
    web pages in the same browser. It is told the names and addresses of this machine, each with the port.

    Args:
        target: The store; a SQLite file.
        host: The address of this machine to listen on; 0.0.0.0 is all of them.
        port: From 1 to 65535.

    Raises:
        UserError: The store is a server, which has its own pages; or the address cannot be used.
    """
    if target.database is None:
        raise UserError(
            f"the runs are on the server {target.uri}, which has its own pages: open it in a browser"
        )
    require_free_port(host, port)
    names = list_names(host)
    hosts = [f"{bracket_host(name)}:{port}" for name in ("localhost", DEFAULT_HOST, *names)]
    command = (
        *(sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", target.address, "--workers", "1"),
        # Otherwise files of an experiment that is created in the pages go through this server alone.
        *("--default-artifact-root", str(target.artifact_root)),
        *("--host", host, "--port", str(port)),
        *("--allowed-hosts", ",".join(hosts)),
        *("--cors-allowed-origins", ",".join(f"http://{each}" for each in hosts)),
    )
    own = DEFAULT_HOST if not names or host in ALL_ADDRESSES else host
    others = tuple(f"http://{bracket_host(name)}:{port}" for name in names)
    return UiServer(command, f"http://{bracket_host(own)}:{port}", others)

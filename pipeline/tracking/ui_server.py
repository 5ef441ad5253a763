"""Plan the command that starts the MLflow UI: which store, which address, and who may ask it for pages."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.tracking.target import TrackingTarget

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 5001
_ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})
_MAX_PORT: Final = 65535


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
    hosts = [f"{_bracket(name)}:{port}" for name in ("localhost", DEFAULT_HOST, *names)]
    command = (
        *(sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", target.address, "--workers", "1"),
        *("--host", host, "--port", str(port)),
        *("--allowed-hosts", ",".join(hosts)),
        *("--cors-allowed-origins", ",".join(f"http://{each}" for each in hosts)),
    )
    own = DEFAULT_HOST if not names or host in _ALL_ADDRESSES else host
    others = tuple(f"http://{_bracket(name)}:{port}" for name in names)
    return UiServer(command, f"http://{_bracket(own)}:{port}", others)


def require_free_port(host: str, port: int) -> None:
    """Require that a server can listen on an address.

    Raises:
        UserError: The port is in use or reserved, or the address is not one of this machine.
    """
    if not 1 <= port <= _MAX_PORT:
        raise UserError(f"PORT={port} is no port: choose one from 1 to {_MAX_PORT}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise UserError(f"HOST={host} is not known: give an address of this machine, or 0.0.0.0") from None
    except PermissionError:
        raise UserError(
            f"PORT={port} is reserved for the system: choose one from 1024: PORT={DEFAULT_PORT}"
        ) from None
    except OSError as error:
        raise UserError(_describe_refused_address(host, port, error)) from None


def list_names(host: str) -> Sequence[str]:
    """List the names and addresses by which other machines may ask for the pages; none for a loopback one.

    Args:
        host: The address that the server listens on.
    """
    if _is_loopback(host):
        return ()
    found = [host] if host not in _ALL_ADDRESSES else list(_list_addresses())
    names = (*found, socket.gethostname(), socket.getfqdn())
    return tuple(dict.fromkeys(name for name in names if not _is_loopback(name)))


def _list_addresses() -> Iterator[str]:
    """Yield the IPv4 addresses of this machine."""
    import psutil

    for addresses in psutil.net_if_addrs().values():
        yield from (each.address for each in addresses if each.family == socket.AF_INET)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _describe_refused_address(host: str, port: int, error: OSError) -> str:
    import errno

    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use, perhaps by another `make ui`: open "
            f"http://{_bracket(host)}:{port}, end the other program, or choose another port: PORT={port + 1}"
        )
    return f"HOST={host} is no address of this machine ({error.strerror}): give one, or 0.0.0.0"

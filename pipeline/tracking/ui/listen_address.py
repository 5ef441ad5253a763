"""Addresses of this machine that a server can listen on, and names by which other machines reach it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from pipeline.core.errors import UserError

DEFAULT_PORT: Final = 5001
ALL_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})
_MAX_PORT: Final = 65535


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
    found = [host] if host not in ALL_ADDRESSES else list(_list_addresses())
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


def bracket_host(host: str) -> str:
    """Put an IPv6 address into brackets, as a URL has it."""
    return f"[{host}]" if ":" in host else host


def _describe_refused_address(host: str, port: int, error: OSError) -> str:
    import errno

    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use, perhaps by another `make ui`: open "
            f"http://{bracket_host(host)}:{port}, end the other program, or choose another: PORT={port + 1}"
        )
    return f"HOST={host} is no address of this machine ({error.strerror}): give one, or 0.0.0.0"

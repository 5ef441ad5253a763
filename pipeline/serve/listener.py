"""The address where the server listens. Light imports: a port in use is told before the model is loaded."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Collection
from typing import NamedTuple

from pipeline.core.errors import UserError


class ServerAddress(NamedTuple):
    """Where the server listens.

    Attributes:
        host: An address of this machine, or a name.
        port: 0 for any free one.
        names: Further names by which requests may call it.
    """

    host: str
    port: int
    names: Collection[str] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def bind_address(address: ServerAddress) -> socket.socket:
    """Bind the address; nobody can connect before the server listens.

    Raises:
        UserError: It is no address of this machine, or in use.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {address.host} is no address of this machine ({error})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f"--host {address.host} is no address of this machine") from None
        raise UserError(
            f"port {address.port} of {address.host} cannot be used ({error.strerror}): choose another one "
            "with --port, or 0 for any free one"
        ) from None
    return listener


def find_own_names(address: ServerAddress) -> set[str]:
    """Return the names that requests may call the server by, besides localhost and addresses."""
    own = () if address.is_local else (socket.gethostname(), socket.getfqdn())
    return {name for name in (address.host, *address.names, *own) if name}

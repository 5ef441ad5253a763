"""Addresses that cannot be used are one sentence each."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.serve.listener import ServerAddress, bind_address


def test_any_free_port_is_bound():
    with bind_address(ServerAddress("127.0.0.1", 0)) as listener:
        assert listener.getsockname()[1] > 0


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a..b", "x" * 70])
def test_another_machines_address_or_no_address_is_refused(host):
    with pytest.raises(UserError, match="no address of this machine"):
        bind_address(ServerAddress(host, 0))


def test_a_port_in_use_is_refused():
    with bind_address(ServerAddress("127.0.0.1", 0)) as listener:
        listener.listen()
        with pytest.raises(UserError, match="cannot be used"):
            bind_address(ServerAddress("127.0.0.1", listener.getsockname()[1]))

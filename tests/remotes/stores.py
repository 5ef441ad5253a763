"""Servers of DVC remotes on this machine: SFTP by asyncssh, S3 by moto."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.remotes.conftest import flip_byte


@dataclass(frozen=True)
class RunningStore:
    """A remote that runs.

    Args:
        url: Of the remote.
        settings: Of the remote, with its password.
        secret: The setting that is the password.
        damage: Changes a byte of an object, by its path below the URL.
    """

    url: str
    settings: Mapping[str, str]
    secret: str
    damage: Callable[[str], None]


@contextmanager
def serve_s3(_: Path, *, strict: bool = False) -> Iterator[RunningStore]:
    """Serve a bucket.

    Args:
        strict: Whether the keys are checked.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="tests",
            aws_secret_access_key="tests",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket="store")

        def damage(path: str) -> None:
            body = bytearray(client.get_object(Bucket="store", Key=f"team/{path}")["Body"].read())
            body[0] ^= 1
            client.put_object(Bucket="store", Key=f"team/{path}", Body=bytes(body))

        if strict:
            _check_keys(endpoint, "0")
        keys = {"access_key_id": "tests", "secret_access_key": "tests", "region": "us-east-1"}
        yield RunningStore("s3://store/team", {"endpointurl": endpoint, **keys}, "secret_access_key", damage)
    finally:
        if strict:
            _check_keys(endpoint, "inf")
        server.stop()


def _check_keys(endpoint: str, after: str) -> None:
    request = urllib.request.Request(
        f"{endpoint}/moto-api/reset-auth", data=after.encode(), headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


@contextmanager
def serve_ssh(folder: Path, *, strict: bool = True) -> Iterator[RunningStore]:  # noqa: ARG001 - it always checks
    """Serve a folder by SFTP, with a password."""
    store = folder / "ssh-store"
    store.mkdir(exist_ok=True)
    loop, started, stopped = asyncio.new_event_loop(), Queue(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve_sftp(started, stopped),))
    thread.start()
    try:
        url = f"ssh://tests@127.0.0.1:{started.get(timeout=30)}{store}"
        yield RunningStore(url, {"password": "secret"}, "password", lambda path: flip_byte(store / path))
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        loop.close()


async def serve_sftp(started: Queue[int], stopped: asyncio.Event) -> None:
    """Serve this machine's files until it is stopped; tell the port."""
    import asyncssh

    connections: list[asyncssh.SSHServerConnection] = []

    class Login(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.append(conn)

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("tests", "secret")

    keys = [asyncssh.generate_private_key("ssh-ed25519")]
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Login, server_host_keys=keys, sftp_factory=True
    )
    started.put(server.get_port())
    await stopped.wait()
    server.close()
    for connection in connections:
        connection.abort()
    await asyncio.gather(*(connection.wait_closed() for connection in connections))

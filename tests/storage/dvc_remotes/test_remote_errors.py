"""An error of a remote becomes a sentence that is true of it, without passwords."""

from __future__ import annotations

import errno
import socket

import pytest
from dvc_objects.fs.errors import RemoteMissingDepsError

from pipeline.storage.dvc_remotes.remote_errors import describe_remote_error, hide_password

SETTINGS = {"url": "s3://bucket/team", "secret_access_key": "hunter2"}


def caused_by(error: Exception) -> Exception:
    """Return an error that was raised from another one."""
    outer = RuntimeError("the transfer failed")
    outer.__cause__ = error
    return outer


class NoCredentialsError(Exception):
    """As of botocore."""


class SFTPNoSpaceOnFilesystem(Exception):
    """As of asyncssh."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "has no space left"),
        (SFTPNoSpaceOnFilesystem("full"), "has no space left"),
        (OSError(errno.EIO, "XMinioStorageFull: the drive is full"), "has no space left"),
        (PermissionError("Access Denied"), "refuses the access"),
        (NoCredentialsError("Unable to locate credentials"), "refuses the access"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "cannot be reached"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be reached"),
        (TimeoutError(), "cannot be reached"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "cannot be reached"),
        (FileNotFoundError("The specified bucket does not exist"), "does not exist"),
        (ValueError("something else"), "cannot be used"),
    ],
)
@pytest.mark.parametrize("outside", [lambda error: error, caused_by])
def test_the_sentence_fits_the_error(error, words, outside):
    text = describe_remote_error(outside(error), name="store", settings=SETTINGS)
    assert words in text
    assert text.startswith("the remote store (s3://bucket/team)")


def test_secrets_are_left_out():
    error = PermissionError("key hunter2 is wrong for http://user:hunter3@host/x")
    text = describe_remote_error(error, name="store", settings=SETTINGS)
    assert "hunter" not in text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ssh://user:secret@host:22/path", "ssh://user@host:22/path"),
        ("ssh://user@host/path", "ssh://user@host/path"),
        ("ssh://user:se@cr:et@host/path", "ssh://user@host/path"),
        ("ssh://host:22/path@v1", "ssh://host:22/path@v1"),
        ("https://user:secret@host/path", "https://host/path"),
        ("https://token@host/path", "https://host/path"),
        ("no answer from https://token:x@host: ask a@b", "no answer from https://host: ask a@b"),
        ("s3://bucket/path", "s3://bucket/path"),
        ("/mnt/a:b@c", "/mnt/a:b@c"),
    ],
)
def test_an_address_is_shown_without_its_password(address, shown):
    assert hide_password(address) == shown


@pytest.mark.parametrize(("protocol", "command"), [("s3", "make setup"), ("gs", "pip install dvc-gs")])
@pytest.mark.parametrize("is_own", [True, False])
def test_a_package_that_is_absent_is_named_with_the_command_that_installs_it(protocol, command, is_own):
    error = (
        ModuleNotFoundError(f"No module named 'dvc_{protocol}'", name=f"dvc_{protocol}")
        if is_own
        else RemoteMissingDepsError(None, protocol, f"{protocol}://bucket", ["package"])
    )
    text = describe_remote_error(error, name="store", settings={"url": f"{protocol}://bucket"})
    assert f"needs the package dvc-{protocol}" in text
    assert command in text

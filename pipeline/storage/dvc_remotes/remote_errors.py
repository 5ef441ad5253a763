"""Turn errors of a DVC remote into one sentence: what is wrong, where, what to do. Passwords never appear."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any, Final

from pipeline.core.machine_errors import is_disk_full, iterate_causes

_SECRET_KEYS: Final = (
    *("password", "passphrase", "access_key_id", "secret_access_key", "session_token"),
    *("account_key", "sas_token", "connection_string", "client_secret", "token", "oss_key_secret"),
)
"""Keys of a remote whose values never appear in a message."""
_UNREACHABLE: Final = frozenset(
    {
        *("ConnectionError", "TimeoutError", "gaierror", "EndpointConnectionError", "ConnectTimeoutError"),
        *("ConnectionLost", "DisconnectError", "FSTimeoutError", "SFTPNoConnection", "SFTPConnectionLost"),
        *("ReadTimeoutError", "ClientConnectorError", "ConnectionClosedError", "HTTPClientError"),
    }
)
"""Names of classes of errors, since their packages may be absent."""
_UNREACHABLE_NUMBERS: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNRESET}
)
_REFUSED: Final = frozenset(
    {"PermissionError", "PermissionDenied", "NoCredentialsError", "PartialCredentialsError", "AuthError"}
)
_REFUSED_SIGNS: Final = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "'/dev/tty'")
"""The last one: a password is asked for, and there is no terminal."""
_FULL: Final = frozenset({"SFTPNoSpaceOnFilesystem", "SFTPQuotaExceeded"})
_FULL_SIGNS: Final = ("StorageFull", "QuotaExceeded", "Storage backend has reached its minimum free")
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "ssh": "your SSH key or agent, or `dvc remote modify --local {name} password PASSWORD`",
    "": "the access rights of the folder",
}
"""What to check, by the protocol."""

_LOCKED_PACKAGES: Final = frozenset({"s3", "ssh"})
"""Protocols whose packages requirements.lock has."""


def hide_password(address: str) -> str:
    """Return an address without the password that it may hold.

    In an address of HTTP the name of the user is left out, too: it may be a token, as git hosts have them.
    """
    shown = re.sub(r"((?:https?|webdavs?)://)[^/\s]*@", r"\1", address)
    return re.sub(r"(://[^/:@\s]*):[^/\s]*@", r"\1@", shown)


def describe_remote_error(error: BaseException, *, name: str, settings: Mapping[str, Any]) -> str:
    """Return a sentence about an error of a remote.

    Args:
        error: The error; those that it was raised from are searched, too.
        name: Of the remote.
        settings: Of the remote, with `url`.
    """
    address = hide_password(str(settings.get("url", "")))
    where = f"the remote {name} ({address})"
    causes = list(iterate_causes(error))
    if protocol := next(filter(None, map(_find_missing_protocol, causes)), None):
        return _describe_missing_package(where, protocol)
    if is_disk_full(error) or _is_one_of(causes, _FULL) or _shows(causes, _FULL_SIGNS):
        return f"{where} has no space left: free some there, then run again; it goes on where it stopped"
    if _is_one_of(causes, _REFUSED) or _shows(causes, _REFUSED_SIGNS):
        return (
            f"{where} refuses the access{_quote(causes, settings)}: check {_name_credentials(name, address)}"
        )
    if _is_one_of(causes, _UNREACHABLE) or any(_get_number(each) in _UNREACHABLE_NUMBERS for each in causes):
        return f"{where} cannot be reached{_quote(causes, settings)}: check its address, and that it runs"
    if _is_one_of(causes, frozenset({"FileNotFoundError"})):
        return f"{where} does not exist{_quote(causes, settings)}: check its address"
    return f"{where} cannot be used{_quote(causes, settings)}"


def _name_credentials(name: str, address: str) -> str:
    protocol = address.partition("://")[0] if "://" in address else ""
    return _CREDENTIALS.get(protocol, "its credentials").format(name=name)


def _quote(causes: list[BaseException], settings: Mapping[str, Any]) -> str:
    """Return the last reason that says something, in brackets, without secrets."""
    reasons = [text for each in causes if (text := str(each).strip())]
    if not reasons:
        return f" ({type(causes[0]).__name__})"
    reason = hide_password(reasons[-1].splitlines()[0])
    for key in _SECRET_KEYS:
        if secret := settings.get(key):
            reason = reason.replace(str(secret), "***")
    return f" ({reason})"


def _is_one_of(causes: list[BaseException], names: frozenset[str]) -> bool:
    return any(kind.__name__ in names for each in causes for kind in type(each).__mro__)


def _shows(causes: list[BaseException], signs: tuple[str, ...]) -> bool:
    return any(sign in str(each) for each in causes for sign in signs)


def _get_number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _find_missing_protocol(error: BaseException) -> str | None:
    """Return the protocol whose package is not installed: DVC's own, such as dvc_gs, or one that it needs."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("dvc_"):
        return str(error.name).removeprefix("dvc_")
    return str(vars(error)["protocol"]) if hasattr(error, "missing_deps") else None


def _describe_missing_package(where: str, protocol: str) -> str:
    package = f"dvc-{protocol}"
    if protocol in _LOCKED_PACKAGES:
        how = "`rm -f .venv/.installed && make setup`, which installs it from requirements.lock"
    else:
        how = f"`.venv/bin/python -m pip install {package}` (requirements.lock does not have it)"
    return f"{where} needs the package {package}, which is not installed: run {how}"

"""Check the address of an MLflow store; pure, no I/O."""

from __future__ import annotations

import re

ALLOWED_URIS = "a database such as sqlite:///mlflow.db, or a server such as http://127.0.0.1:5000"
NO_PASSWORD = "tracking.uri must not hold a user or a password"
_SERVER_URI = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?|databricks(://[^\s/?#@]+)?")


def sqlite_file(uri: str) -> str | None:
    """Return the path of a SQLite address; None for any other address."""
    found = re.fullmatch(r"sqlite:///([^?#]+)", uri)
    return found[1] if found and found[1] != ":memory:" else None


def check_tracking_uri(uri: str) -> str:
    """Return an address that can store runs. It must not hold a password, since it is written to files.

    Raises:
        ValueError: The address cannot store runs; the message omits an address that may hold a password.
    """
    if sqlite_file(uri) or _SERVER_URI.fullmatch(uri):
        return uri
    if "@" in uri:
        raise ValueError(
            f"{NO_PASSWORD}, since it is written to files: "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    raise ValueError(f"tracking.uri={uri[:80]!r} is not allowed: it must be {ALLOWED_URIS}")

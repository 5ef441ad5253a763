"""Addresses of MLflow stores: the one rule of which can hold this project's runs; pure, no I/O."""

from __future__ import annotations

import re

STORE = "a database such as sqlite:///mlflow.db, or a server such as http://127.0.0.1:5000"
SERVER = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?|databricks(://[^\s/?#@]+)?")


def database(uri: str) -> str | None:
    """Return the file that a sqlite address names; None for any other address."""
    found = re.fullmatch(r"sqlite:///([^?#]+)", uri)
    return found[1] if found and found[1] != ":memory:" else None


def check(uri: str) -> str:
    """Return an address that can hold runs; it is written to files, so it may name nobody.

    Raises:
        ValueError: One sentence, without the address where that may hold a password.
    """
    if database(uri) or SERVER.fullmatch(uri):
        return uri
    if "@" in uri:
        raise ValueError(
            "tracking.uri must not hold a user or a password, since it is written to files: "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    raise ValueError(f"tracking.uri={uri[:80]!r} is not allowed: it must be {STORE}")

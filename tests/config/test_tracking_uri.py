"""Addresses of MLflow stores that are accepted and rejected."""

from __future__ import annotations

import pytest

from pipeline.config.tracking_uri import check_tracking_uri


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:////srv/me@home/mlflow.db",
        "http://127.0.0.1:5000",
        "https://mlflow.example.org/team",
        "http://[::1]:5000",
        "databricks",
        "databricks://profile",
    ],
)
def test_address_of_a_store_is_returned_unchanged(uri):
    assert check_tracking_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mlruns",
        "file:///tmp/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///mlflow.db?mode=memory",
        "postgresql://h/db",
        "http://",
        "https:///x",
        "https://h?token=secret",
        "databricksx",
    ],
)
def test_other_address_is_rejected(uri):
    with pytest.raises(ValueError, match=r"must be a database such as sqlite:///mlflow\.db, or a server"):
        check_tracking_uri(uri)


@pytest.mark.parametrize(
    "uri", ["https://me:secret@h", "https://secret@h", "postgresql://u:secret@h/db", "http://a/secret@b"]
)
def test_address_with_credentials_is_rejected_without_repeating_it(uri):
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        check_tracking_uri(uri)
    assert "secret" not in str(caught.value)

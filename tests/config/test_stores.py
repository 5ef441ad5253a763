"""One rule for addresses: what the schema lets pass, a run can be opened with."""

from __future__ import annotations

import pytest

from pipeline.config import stores


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
def test_a_place_for_runs_passes_unchanged(uri):
    assert stores.check(uri) == uri


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
def test_what_is_no_place_for_runs_is_refused(uri):
    with pytest.raises(ValueError, match=r"must be a database such as sqlite:///mlflow\.db, or a server"):
        stores.check(uri)


@pytest.mark.parametrize(
    "uri", ["https://me:secret@h", "https://secret@h", "postgresql://u:secret@h/db", "http://a/secret@b"]
)
def test_who_logs_in_is_no_part_of_an_address_and_is_not_repeated(uri):
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        stores.check(uri)
    assert "secret" not in str(caught.value)

"""Reasons of failures, in the words of the server or of the operating system."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from mlflow.exceptions import MlflowException, RestException

from pipeline.tracking.store.outage import MAX_REASON_LENGTH, describe_failure, is_locked, is_outage

ANSWER = "API request to endpoint /api/x failed with error code {} != 200. Response body: '{}'"


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        (403, "Invalid Host header", "the server answers 403: Invalid Host header"),
        (403, "", "the server answers 403"),
        (502, "<html><style>a {}</style><h1>Bad\nGateway</h1></html>", "the server answers 502: Bad Gateway"),
        (
            401,
            "You're not authenticated",
            "the server answers 401: You're not authenticated "
            "(set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)",
        ),
        (
            401,
            "You are not authenticated. Please see https://example.org on how to authenticate.",
            "the server answers 401: it does not know this user and password "
            "(set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)",
        ),
        (
            403,
            "Permission denied",
            "the server answers 403: Permission denied (ask the server's administrator for a permission)",
        ),
    ],
)
def test_an_answer_is_quoted(code, body, reason):
    assert describe_failure(MlflowException(ANSWER.format(code, body))) == reason


def test_an_error_of_mlflow_is_quoted():
    refused = {"error_code": "PERMISSION_DENIED", "message": "Permission denied for me"}
    assert describe_failure(RestException(refused)) == "PERMISSION_DENIED: Permission denied for me"


def test_a_long_answer_is_cut_after_a_word():
    reason = describe_failure(MlflowException(ANSWER.format(500, "word " * 1000)))
    assert len(reason) <= MAX_REASON_LENGTH + 4
    assert reason.endswith("word ...")


def test_the_first_cause_is_named():
    def fail():
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as error:
            raise MlflowException(
                f"API request to http://x failed with exception HTTP({error}): Max"
            ) from error

    with pytest.raises(MlflowException) as raised:
        fail()
    assert describe_failure(raised.value) == "Connection refused"
    assert is_outage(raised.value)


def test_a_lock_is_found_behind_other_errors(tmp_path):
    def fail(other):
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise RuntimeError("of SQLAlchemy") from error

    with (
        closing(sqlite3.connect(tmp_path / "a.db")) as first,
        closing(sqlite3.connect(tmp_path / "a.db", 0)) as other,
    ):
        first.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RuntimeError) as raised:
            fail(other)
    assert is_locked(raised.value)
    assert not is_locked(RuntimeError("of SQLAlchemy"))

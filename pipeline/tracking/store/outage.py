"""Tell an outage of the store from a message that it refuses, and say why in the store's own words."""

from __future__ import annotations

import re
import sqlite3
import ssl
from collections.abc import Iterator
from typing import Final

from pipeline.core.errors import UserError

MAX_REASON_LENGTH: Final = 400
"""Characters of a reason; servers may answer with a whole web page."""
CREDENTIALS_ADVICE: Final = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
PERMISSION_ADVICE: Final = "ask the server's administrator for a permission"
CERTIFICATE_VARIABLE: Final = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_LOGIN_PAGE: Final = "You are not authenticated"
"""How the answer of MLflow's own users and permissions begins; its advice is longer than ours."""
_UNKNOWN_ISSUER_CODES: Final = frozenset({18, 19, 20, 21})
"""OpenSSL's codes for an authority that is not known here; others are: expired, or of another host."""
_ANSWER: Final = re.compile(r"failed with error code (\d+) != \d+\. Response body: '(.*)'$", re.DOTALL)


SERVED_FILES_SCHEME: Final = "mlflow-artifacts:"
"""Begins the address of files that are stored and read through an MLflow server alone."""
_NO_SERVER: Final = "When an mlflow-artifacts URI was supplied, the tracking URI must be a valid http"
"""Begins MLflow's answer where such files are wanted of a database; it names the wrong variable to set."""


class StoreUnavailableError(Exception):
    """The store answers, but accepts nothing until the user acts."""


class DatabaseLockedError(Exception):
    """Another process holds the lock of the database: the messages wait."""


def is_outage(error: Exception) -> bool:
    """Check whether the store cannot accept messages now, so that the message waits.

    It is not reachable, overloaded, locked, unusable, out of disk space, or wants other credentials. With any
    other error the store refused this message for good.
    """
    from mlflow.exceptions import MlflowException

    if isinstance(error, FileNotFoundError):
        return False
    if needs_server(error):
        return False
    if isinstance(error, MlflowException):
        code, kind = error.get_http_status_code(), error.error_code
        return code >= 500 or code in {401, 403, 408, 429} or kind == "ENDPOINT_NOT_FOUND"
    response = getattr(error, "response", None)
    if response is not None:
        return bool(response.status_code >= 500 or response.status_code in {401, 403, 404, 408, 429})
    return isinstance(error, OSError | UserError | StoreUnavailableError | DatabaseLockedError)


def needs_server(error: Exception) -> bool:
    """Check whether a file belongs to a run of a server, and no server was asked for it."""
    return _NO_SERVER in str(error)


def is_denied(error: Exception) -> bool:
    """Check whether a server with users and permissions does not let this user do it."""
    get_code = getattr(error, "get_http_status_code", None)
    return get_code is not None and get_code() == 403


def is_locked(error: BaseException) -> bool:
    """Check whether SQLite said that another process holds the lock of the database."""
    codes = (getattr(cause, "sqlite_errorcode", 0) & 0xFF for cause in _iterate_causes(error))
    return any(code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} for code in codes)


def describe_failure(error: Exception) -> str:
    """Return why a call failed, on one line: the server's own words, or the operating system's."""
    answer = _ANSWER.search(str(error))
    response = getattr(error, "response", None)
    if needs_server(error):
        text = "files of this run are stored and read through its MLflow server alone, not through a database"
    elif answer:
        text = _describe_answer(int(answer[1]), answer[2])
    elif response is not None:
        text = _describe_answer(response.status_code, response.text)
    else:
        text = _describe_cause(error)
    return _cut(" ".join(text.split()))


def _describe_answer(code: int, body: str) -> str:
    words = " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", body, flags=re.DOTALL).split())
    if words.startswith(_LOGIN_PAGE):
        words = "it does not know this user and password"
    said = f"the server answers {code}: {words}" if words else f"the server answers {code}"
    if code == 403 and words == "Permission denied":  # of MLflow's users and permissions
        return f"{said} ({PERMISSION_ADVICE})"
    return f"{said} ({CREDENTIALS_ADVICE})" if code == 401 else said


def _describe_cause(error: Exception) -> str:
    """Return the words of the first cause; MLflow's own text repeats it in several layers."""
    if isinstance(error, UserError | StoreUnavailableError | DatabaseLockedError):
        return str(error)
    get_code = getattr(error, "get_http_status_code", None)
    wrapped = get_code is None or str(error).startswith("API request to ") or get_code() == 503
    *_, first = _iterate_causes(error) if wrapped else [error]
    if isinstance(first, TimeoutError) and str(first) in {"timed out", ""}:
        return "no answer in time"
    if isinstance(first, ssl.SSLError):
        return _describe_tls_error(first)
    if "TLS CA certificate bundle, invalid path" in str(first):
        return f"{CERTIFICATE_VARIABLE} names no file:{str(first).rpartition('invalid path:')[2]}"
    if isinstance(first, OSError) and first.strerror:
        place = f": {first.filename}" if first.filename else ""
        return f"{first.strerror}{place}"
    advice = f" ({CREDENTIALS_ADVICE})" if get_code is not None and get_code() == 401 else ""
    return f"{first or type(first).__name__}{advice}"


def _describe_tls_error(error: ssl.SSLError) -> str:
    """Return why there is no encrypted connection, with advice where the authority is not known."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"no encrypted connection: {(error.reason or str(error)).replace('_', ' ').lower()}"
    reason = f"the server's certificate is not accepted: {error.verify_message}"
    if error.verify_code not in _UNKNOWN_ISSUER_CODES:
        return reason
    return f"{reason} (set {CERTIFICATE_VARIABLE} to the certificate of the authority that signed it)"


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, what caused it, what caused that, and so on."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        inner = (given for given in cause.args if isinstance(given, BaseException))
        cause = cause.__cause__ or cause.__context__ or next(inner, None)


def _cut(text: str) -> str:
    """Cut a long text at the end of a word."""
    if len(text) <= MAX_REASON_LENGTH:
        return text
    return f"{text[:MAX_REASON_LENGTH].rsplit(' ', 1)[0]} ..."

"""Examine the SQLite database of runs without MLflow, whose client takes seconds to load and migrates it."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pipeline.tracking.store.outage import is_locked

LOCK_WAIT_SECONDS: Final = 2.0
"""A command that writes holds the lock for moments."""
MAX_CHECKED_BYTES: Final = 300_000_000
"""The pages of a larger database are not all checked: it would take seconds."""
_MAGIC: Final = b"SQLite format 3\0"
_REVISION: Final = re.compile(r'^(down_)?revision\s*=\s*["\'](\w+)["\']', re.MULTILINE)

DatabaseProblem = Literal["no-permission", "no-database", "locked", "damaged", "foreign", "newer", "older"]


class DatabaseState(NamedTuple):
    """What is wrong with a database.

    Attributes:
        problem: `no-permission`: the file or its folder cannot be written; `no-database`: another file;
            `locked`: for seconds; `damaged`: SQLite finds errors; `foreign`: not MLflow's;
            `newer`, `older`: of another version of MLflow; None: nothing.
        detail: What SQLite says, or the version of the tables.
    """

    problem: DatabaseProblem | None
    detail: str = ""


def examine_database(database: Path) -> DatabaseState:
    """Examine a database that exists.

    Nothing is written, except that SQLite itself takes back a transaction that a killed process left.
    """
    for place in (database.parent, database):
        if not os.access(place, os.W_OK | os.R_OK):
            return DatabaseState("no-permission", str(place))
    with database.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return DatabaseState("no-database")
    try:
        return _examine_tables(database)
    except sqlite3.Error as error:
        return DatabaseState("locked" if is_locked(error) else "damaged", str(error))


def open_read_only(database: Path) -> sqlite3.Connection:
    """Open a database that exists for reading."""
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", timeout=LOCK_WAIT_SECONDS, uri=True)


@cache
def list_known_revisions() -> tuple[frozenset[str], str]:
    """Return all versions of the tables that the installed MLflow knows, and the newest one.

    MLflow is not imported.

    Raises:
        ModuleNotFoundError: MLflow is not installed.
    """
    spec = find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")
    files = Path(spec.origin).parent.glob("store/db_migrations/versions/*.py")
    found = [pair for file in files for pair in _REVISION.findall(file.read_text("utf-8"))]
    known, before = ({name for down, name in found if bool(down) == is_before} for is_before in (False, True))
    return frozenset(known), next(iter(known - before), "")


def _examine_tables(database: Path) -> DatabaseState:
    address = f"{database.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, timeout=LOCK_WAIT_SECONDS, uri=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # as each command that writes does
        connection.rollback()
        if database.stat().st_size <= MAX_CHECKED_BYTES:
            [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                return DatabaseState("damaged", " ".join(str(answer).split()))
        return _compare_revision(connection)


def _compare_revision(connection: sqlite3.Connection) -> DatabaseState:
    tables = "SELECT name FROM sqlite_master WHERE name IN ('alembic_version', 'runs', 'experiments')"
    if len(connection.execute(tables).fetchall()) < 3:
        return DatabaseState("foreign")
    [revision] = connection.execute("SELECT version_num FROM alembic_version").fetchone() or [""]
    known, newest = list_known_revisions()
    if revision == newest:
        return DatabaseState(None, revision)
    return DatabaseState("older" if revision in known else "newer", str(revision))

"""A database of runs that is examined: what is wrong with it is a kind, and nothing is changed."""

import sqlite3
import subprocess
import sys

import pytest

from pipeline.storage.files import hash_file
from pipeline.tracking.examination import database_file
from pipeline.tracking.examination.database_file import examine_database, list_known_revisions

HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mlflow_file(target):
    return target.database


def change(file, statement):
    database = sqlite3.connect(file)
    with database:
        database.execute(statement)
    database.close()


def test_a_database_of_this_mlflow_has_no_problem_and_stays_as_it_is(mlflow_file):
    before = hash_file(mlflow_file)
    state = examine_database(mlflow_file)
    assert (state.problem, state.detail) == (None, list_known_revisions()[1])
    assert hash_file(mlflow_file) == before
    assert {path.name for path in mlflow_file.parent.iterdir()} == {"mlflow.db"}


@pytest.mark.fault(6, "a database of another program or version")
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE alembic_version SET version_num = 'of2099'", "newer"),
        ("UPDATE alembic_version SET version_num = '451aebb31d03'", "older"),
        ("DROP TABLE runs", "foreign"),
    ],
)
def test_other_versions_and_programs_are_told_apart(mlflow_file, statement, problem):
    change(mlflow_file, statement)
    assert examine_database(mlflow_file).problem == problem


@pytest.mark.fault(11, "the database is another file")
def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "mlflow.db").write_text("# notes about my runs\n")
    assert examine_database(tmp_path / "mlflow.db").problem == "no-database"


@pytest.mark.fault(11, "the database is damaged")
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_database(mlflow_file, cut):
    content = bytearray(mlflow_file.read_bytes())
    if cut:
        del content[len(content) // 2 :]
    else:
        content[8192:60_000] = bytes(60_000 - 8192)
    mlflow_file.write_bytes(content)
    assert examine_database(mlflow_file).problem == "damaged"


@pytest.mark.fault(6, "another process has locked the database")
def test_a_lock_that_stays_is_found(mlflow_file, monkeypatch):
    monkeypatch.setattr(database_file, "LOCK_WAIT_SECONDS", 0.1)
    command = [sys.executable, "-S", "-c", HOLD, str(mlflow_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert examine_database(mlflow_file).problem == "locked"
        process.stdin.close()
    assert examine_database(mlflow_file).problem is None


def test_the_newest_version_is_the_one_that_mlflow_makes(mlflow_file):
    database = sqlite3.connect(mlflow_file)
    [revision] = database.execute("SELECT version_num FROM alembic_version").fetchone()
    database.close()
    known, newest = list_known_revisions()
    assert revision == newest
    assert len(known) > 40

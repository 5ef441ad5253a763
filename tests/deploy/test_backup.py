"""The backup of the team's server, with a real PostgreSQL and files in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sweep.study.postgres import explain_missing_server, find_program, start_postgres

BACKUP = Path(__file__).parents[2] / "deploy/backup.py"
if missing := explain_missing_server():
    pytest.skip(missing, allow_module_level=True)
if find_program("pg_dump") is None:
    pytest.skip("there is no pg_dump", allow_module_level=True)


@pytest.fixture(scope="module")
def environment():
    """Variables that name a server; its databases have no tables."""
    with start_postgres() as server:
        parts = urlsplit(server.address)
        names = {"PGHOST": parts.hostname, "PGPORT": str(parts.port), "PGUSER": parts.username}
        yield os.environ | {name: str(value) for name, value in names.items()}


@pytest.fixture
def run(environment, tmp_path):
    """Run SQL, or the backup; the databases are new."""

    def query(sql, name="postgres"):
        words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", name]
        done = subprocess.run(
            words, env=environment, input=sql, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def create_databases():
        for name in ("mlflow", "mlflow_auth"):
            query(f"DROP DATABASE IF EXISTS {name};")
            query(f"CREATE DATABASE {name};")

    def backup(command, words=(), files=tmp_path / "artifacts"):
        return subprocess.run(
            [sys.executable, BACKUP, command, tmp_path / "backup", *words],
            env=environment | {"MLFLOW_ARTIFACTS_DESTINATION": str(files)},
            capture_output=True,
            text=True,
            check=False,
        )

    create_databases()
    return query, backup, create_databases


def test_a_new_server_has_neither_runs_nor_files(run):
    query, backup, _ = run
    assert backup("save").returncode == 0
    query("CREATE TABLE runs (run_uuid text);", "mlflow")
    assert backup("save").returncode == 0


@pytest.mark.fault(14, "the disk with the files of a team's runs is not mounted when they are saved")
def test_runs_without_files_are_no_success(run, tmp_path):
    query, backup, create_databases = run
    query("CREATE TABLE runs (run_uuid text); INSERT INTO runs VALUES ('a');", "mlflow")
    done = backup("save")  # there is no folder
    assert done.returncode == 1
    assert "--without-files" in done.stderr
    (tmp_path / "artifacts").mkdir()
    assert backup("save").returncode == 1  # a place where nothing is mounted
    assert backup("save", ["--without-files"]).returncode == 0
    create_databases()
    assert backup("restore").returncode == 1
    assert query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public';", "mlflow") == "0"
    assert backup("restore", ["--without-files"]).returncode == 0
    assert query("SELECT * FROM runs;", "mlflow") == "a"

    (tmp_path / "artifacts/0").mkdir()
    (tmp_path / "artifacts/0/best.pt").write_bytes(b"weights")
    (tmp_path / "artifacts/0/best.pt.part").write_bytes(b"of a run")
    assert "2 files, of them 2 new" in backup("save").stdout
    assert (tmp_path / "backup/artifacts/0/best.pt.part").read_bytes() == b"of a run"
    query("DELETE FROM runs;", "mlflow")
    assert backup("save", files=tmp_path / "absent").returncode == 1  # earlier there were some
    assert (tmp_path / "backup/artifacts/0/best.pt").read_bytes() == b"weights"

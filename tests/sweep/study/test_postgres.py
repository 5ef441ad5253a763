from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.study.database import connection
from pipeline.sweep.study.database.address import parse_storage_address
from pipeline.sweep.study.database.connection import close_storage, open_storage
from tests.sweep.study.postgres import explain_missing_server, start_postgres
from tests.sweep.study.studies import CHOICES, INTERVALS, open_sweep, run_sweep, train

pytest.importorskip("psycopg")
if missing := explain_missing_server():
    pytest.skip(missing, allow_module_level=True)

OPEN = (
    "import sys, time; from tests.sweep.study.studies import *; "
    "study = open_sweep(CHOICES, storage=sys.argv[1]); "
)
TAKE_ONE = f"{OPEN}print(study.next_job().number, flush=True); time.sleep(600)"
RUN_ALL = f"{OPEN}print(run_sweep(study), flush=True)"


def start_process(code, address):
    return subprocess.Popen(
        [sys.executable, "-c", code, address],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def server():
    with start_postgres() as server:
        yield server


@pytest.mark.fault(14, "several processes create the tables of a sweep's database at once")
def test_a_new_database_may_be_opened_by_several_at_once(server):
    import psycopg

    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
    address = parse_storage_address(server.address.replace("/postgres", "/fresh"))
    with ThreadPoolExecutor(4) as pool:
        for storage in pool.map(open_storage, [address] * 4):
            close_storage(storage)


@pytest.mark.usefixtures("project")
def test_the_lock_of_a_run_is_of_one_study_and_leaves_no_transaction_open(server, monkeypatch):
    import psycopg

    monkeypatch.setattr(connection, "_LOCK_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(connection, "_RUN_WAIT_SECONDS", 0.1)

    def open_named(name):
        return closing(open_sweep(CHOICES, storage=server.address, name=name))

    with open_named("a") as first, open_named("b") as second, open_named("a") as same:
        with first.hold_run_key("", print), psycopg.connect(server.address, autocommit=True) as database:
            found = database.execute("SELECT state FROM pg_stat_activity WHERE query LIKE '%advisory%lock(%'")
            assert {state for (state,) in found if state != "active"} == {"idle"}
            with second.hold_run_key("", print):
                assert second.next_job().number == 0
            with pytest.raises(UserError, match="opens the run"), same.hold_run_key("", print):
                pass
        with same.hold_run_key("", print) as key:
            assert key


@pytest.mark.slow
@pytest.mark.fault(14, "a team's processes run one sweep on PostgreSQL, and one is killed")
def test_processes_share_a_sweep_and_the_points_of_a_killed_one(server, project):
    study = open_sweep(CHOICES, storage=server.address)
    taken = study.next_job()
    with start_process(TAKE_ONE, server.address) as process:
        assert process.stdout.readline() == "1\n"
        os.kill(process.pid, signal.SIGKILL)
    with start_process(RUN_ALL, server.address) as process:
        assert process.stdout.readline() == "[1, 2, 3, 4, 5]\n"
    study.finish_job(train(study, taken))
    assert study.is_complete
    study.close()
    assert not list(project.glob("*.db"))


@pytest.mark.slow
@pytest.mark.fault(14, "the database server of a sweep restarts")
@pytest.mark.usefixtures("project")
def test_a_sweep_outlives_a_restart_of_its_server(server):
    study = open_sweep(INTERVALS, storage=server.address, name="restart", trials=6, pruner="median")
    job = study.next_job()
    server.stop()
    assert not study.report_epoch(job.number, 1, 0.2)
    restart = threading.Thread(target=lambda: (time.sleep(0.5), server.start()))
    restart.start()
    study.finish_job(train(study, job))
    restart.join()
    assert run_sweep(study) == [1, 2, 3, 4, 5]
    study.close()

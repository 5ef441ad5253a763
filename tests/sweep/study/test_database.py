from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.study.database import connection, ownership, place
from pipeline.sweep.study.database.address import hide_passwords, parse_storage_address
from pipeline.sweep.study.database.connection import open_storage, reporting_database_errors
from tests.sweep.study.studies import CHOICES, build_result, copy_empty_database, open_sweep, run_sweep

ROOT = Path(__file__).parents[3]


def test_the_default_is_a_file_of_the_project(project):
    address = parse_storage_address(None)
    assert address.file == project / ".finetrack" / "sweeps" / "studies.db"
    assert parse_storage_address("sqlite:///here.db").file == project / "here.db"
    assert parse_storage_address(f"sqlite:///{project}/x.db").file == project / "x.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg(scheme):
    address = parse_storage_address(f"{scheme}://me@host:5432/sweeps")
    assert address.url == "postgresql+psycopg://me@host:5432/sweeps"
    assert address.file is None


@pytest.mark.parametrize("uri", ["mysql://me:secret@host/db", "sqlite://", "studies.db", "postgresql://"])
def test_other_databases_are_refused(uri):
    with pytest.raises(UserError, match="it must be postgresql") as error:
        parse_storage_address(uri)
    assert "secret" not in str(error.value)


@pytest.mark.fault(15, "a password in the address of a sweep's database")
@pytest.mark.parametrize("uri", ["postgresql://me:secret@host/db", "postgresql://host/db?password=secret"])
def test_passwords_are_refused_without_naming_them(uri):
    with pytest.raises(UserError, match="PGPASSWORD") as error:
        parse_storage_address(uri)
    assert "secret" not in str(error.value)


def test_passwords_are_hidden_in_texts():
    assert hide_passwords("x postgresql://me:se:cret@host/db y") == "x postgresql://me:***@host/db y"
    assert hide_passwords("postgresql://me@host/db") == "postgresql://me@host/db"


@pytest.mark.fault(11, "a damaged database of sweeps")
def test_a_damaged_file_is_one_sentence(project):
    file = project / ".finetrack" / "sweeps" / "studies.db"
    file.write_bytes(b"no database" * 99)
    with pytest.raises(UserError, match="not a database") as error:
        open_sweep(CHOICES)
    assert str(file) in str(error.value)


@pytest.mark.fault(14, "a locked database of sweeps")
def test_a_locked_file_is_waited_for_then_one_sentence(project, monkeypatch):
    monkeypatch.setattr(connection, "_LOCK_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(connection, "_RETRY_PAUSES", (0.01,))
    study = open_sweep(CHOICES)
    other = sqlite3.connect(project / ".finetrack" / "sweeps" / "studies.db")
    with contextlib.closing(other):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="database is locked"):
            study.next_job()
        other.rollback()
    assert study.next_job().number == 0
    study.close()


def test_a_full_disk_is_named():
    address = parse_storage_address("sqlite:////x/y.db")
    with pytest.raises(UserError, match="the disk is full"), reporting_database_errors(address):
        raise sqlite3.OperationalError("database or disk is full")


def test_a_server_that_does_not_answer_is_one_sentence():
    pytest.importorskip("psycopg")
    with pytest.raises(UserError, match="does not answer"):
        open_storage(parse_storage_address("postgresql://me@127.0.0.1:1/none"))


def start_sweep(count):
    """Start a process that takes so many jobs, and waits."""
    code = (
        "import time; from tests.sweep.study.studies import *; study = open_sweep(CHOICES)\n"
        f"for _ in range({count}): print(study.next_job().number, flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert [int(process.stdout.readline()) for _ in range(count)] == list(range(count))
    return process


@pytest.mark.fault(14, "two processes run one sweep, and one of them dies")
@pytest.mark.usefixtures("project")
def test_two_processes_share_a_sweep_and_take_over_from_a_dead_one(monkeypatch):
    with start_sweep(2) as process:
        study = open_sweep(CHOICES)
        job = study.next_job()
        assert job.number == 2
        study.finish_job(build_result(job))
        assert study.count_elsewhere() == 2
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert study.count_elsewhere() == 0
        assert [study.next_job().number, study.next_job().number, study.next_job().number] == [0, 1, 3]
    study.close()

    # as on another machine: what was given back is free, what runs there is not until its heartbeat is old
    study = open_sweep(CHOICES)
    assert study.next_job().number == 0
    monkeypatch.setattr(ownership, "_get_machine", lambda: "another machine")
    other = open_sweep(CHOICES)
    assert other.next_job().number == 1
    assert other.count_elsewhere() == 1
    stale = study._store._storage._backend
    monkeypatch.setattr(stale, "grace_period", 1)
    monkeypatch.setattr(other._store._storage._backend, "grace_period", 1)
    study._store._heartbeat.stop()
    time.sleep(2.1)
    assert other.next_job().number == 0
    other.close()
    study.close()


@pytest.mark.usefixtures("project")
def test_a_result_of_a_point_that_was_taken_over_counts_once():
    study = open_sweep(CHOICES, trials=1)
    job = study.next_job()
    other = open_sweep(CHOICES, trials=1)
    study._store.release(1)
    assert run_sweep(other) == [0]
    study.finish_job(build_result(job))
    study.finish_job(build_result(job))  # a second repetition that ran meanwhile
    assert len(study.best_points) == 1
    other.close()
    study.close()


@pytest.mark.fault(14, "two sweeps of one name, on machines with the same paths, write into one MLflow run")
def test_studies_of_one_name_have_runs_of_their_own_and_each_one_for_all_of_its_processes(
    database, tmp_path, monkeypatch
):
    keys = {}
    for folder in ("a", "b", "b"):
        monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path / folder))
        if folder not in keys:
            copy_empty_database(database, tmp_path / folder)
        with closing(open_sweep(CHOICES)) as study, study.hold_run_key("earlier", print) as key:
            assert keys.setdefault(folder, key) == key
    assert len({"earlier", *keys.values()}) == 3


def read_key(project, monkeypatch):
    """Return the key of the run of a project's sweep, and what was told about it."""
    monkeypatch.setenv("FINETRACK_ROOT", str(project))
    told = []
    with closing(open_sweep(CHOICES)) as study, study.hold_run_key("earlier", told.append) as key:
        return key, told


@pytest.mark.fault(14, "a project is copied with its sweeps, and both write into one MLflow run")
def test_a_copy_of_a_project_has_a_run_of_its_own_and_a_moved_one_keeps_its_run(project, monkeypatch):
    own, told = read_key(project, monkeypatch)
    sweeps = Path(".finetrack", "sweeps")
    copy, linked, moved = (project.with_name(f"{project.name}-{name}") for name in ("copy", "link", "moved"))
    shutil.copytree(project / sweeps, copy / sweeps)
    other, why = read_key(copy, monkeypatch)
    assert other != own
    assert (len(told), len(why)) == (0, 1)
    assert read_key(copy, monkeypatch) == (other, [])
    assert read_key(project, monkeypatch) == (own, [])
    linked.symlink_to(project)
    assert read_key(linked, monkeypatch) == (own, [])

    project.rename(moved)
    assert read_key(moved, monkeypatch) == (own, [])
    shutil.copytree(moved / sweeps, project / sweeps)  # its place is that of the moved one
    assert read_key(project, monkeypatch)[0] not in {own, other}
    assert read_key(moved, monkeypatch) == (own, [])


def test_a_file_that_was_restored_or_is_on_another_machine_is_judged_by_its_path(project, monkeypatch):
    own, _ = read_key(project, monkeypatch)
    database = project / ".finetrack" / "sweeps" / "studies.db"
    shutil.copyfile(database, project / "backup.db")
    database.unlink()
    shutil.copyfile(project / "backup.db", database)
    assert read_key(project, monkeypatch) == (own, [])

    here = place.locate_database(database)
    there = here._replace(inode=here.inode + 1, host="another")
    assert place.compare_places(there, here) is place.PlaceChange.COPIED
    assert place.compare_places(there._replace(path="/gone/x.db"), here) is place.PlaceChange.UNSURE
    assert place.compare_places(there._replace(inode=here.inode), here) is place.PlaceChange.NONE


@pytest.mark.usefixtures("project")
def test_a_study_that_an_earlier_version_began_keeps_its_run():
    with closing(open_sweep(CHOICES)) as study:
        study.next_job()
        for _ in range(2):
            with study.hold_run_key("earlier", print) as key:
                assert key == "earlier"


@pytest.mark.usefixtures("project")
def test_processes_of_a_study_open_its_run_one_after_another():
    order = []

    def open_run(study, other):
        with study.hold_run_key("", print):
            order.append("opens")
            if other:
                other.start()
                time.sleep(0.3)
            order.append("opened")

    with closing(open_sweep(CHOICES)) as first, closing(open_sweep(CHOICES)) as second:
        other = threading.Thread(target=open_run, args=(second, None))
        open_run(first, other)
        other.join()
    assert order == ["opens", "opened"] * 2


@pytest.mark.fault(14, "MLflow does not answer one sweep, and the other sweeps cannot claim points")
@pytest.mark.usefixtures("project")
def test_a_study_that_waits_for_mlflow_keeps_no_other_one_waiting(monkeypatch):
    monkeypatch.setattr(connection, "_LOCK_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(connection, "_RUN_WAIT_SECONDS", 0.01)
    with closing(open_sweep(CHOICES)) as first, first.hold_run_key("", print):
        with closing(open_sweep(CHOICES, name="other")) as second, second.hold_run_key("", print):
            assert second.next_job().number == 0
        with closing(open_sweep(CHOICES)) as same:
            assert same.next_job().number == 0
            with pytest.raises(UserError, match="opens the run"), same.hold_run_key("", print):
                pass

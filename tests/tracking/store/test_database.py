"""The addresses of files in the database of a project that was moved or copied."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from pipeline.tracking.examination.database_runs import DatabaseRuns
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.database import prepare_database


@pytest.fixture
def old(tmp_path, database, monkeypatch):
    """The folder of a project, with a database that was created at yet another place."""
    folder = tmp_path / "old place"
    folder.mkdir()
    shutil.copy(database, folder)
    monkeypatch.chdir(folder)
    return folder


def log_run(target):
    """Log a run with a file and a model."""
    store = MlflowClientCache(target)
    run = store.client.create_run(store.experiment, tags={"finetrack.stage.finetune": "finished"})
    store.client.log_text(run.info.run_id, "a", "a.txt")
    model = store.client.create_logged_model(store.experiment, name="m", source_run_id=run.info.run_id)
    (target.database.parent / "local").mkdir()
    (target.database.parent / "local/MLmodel").write_text("flavors: {}\n")
    store.client.log_model_artifacts(model.model_id, str(target.database.parent / "local"))
    store.client.finalize_logged_model(model.model_id, "READY")
    store.client.set_terminated(run.info.run_id, "FINISHED")
    return run.info.run_id


def rename_experiment(target, name):
    client = MlflowClient(target.address)
    client.rename_experiment(client.get_experiment_by_name(target.experiment).experiment_id, name)
    return replace(target, experiment=name)


def use_new_experiment(target, name):
    return replace(target, experiment=name)


def keep(target, _):
    return target


def read_addresses(target):
    """Return the addresses of all experiments, runs and models."""
    with closing(sqlite3.connect(target.database)) as database:
        query = (
            "SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs "
            "UNION SELECT artifact_location FROM logged_models"
        )
        return [address for (address,) in database.execute(query)]


def move(old, new):
    old.rename(new)


def copy(old, new):
    shutil.copytree(old, new)


@pytest.mark.fault(11, "a project is moved after its experiment was renamed, or together with a new name")
@pytest.mark.parametrize("transfer", [move, copy])
@pytest.mark.parametrize("change", [rename_experiment, use_new_experiment, keep])
def test_the_files_of_all_experiments_are_followed(fresh, old, monkeypatch, transfer, change):
    run_id = log_run(fresh)
    target = change(fresh, "parts")
    new = old.with_name("new place")
    monkeypatch.chdir(old.parent)
    transfer(old, new)
    monkeypatch.chdir(new)
    assert [*DatabaseRuns(replace(target, experiment="trial"), target.database).list_without_model()] == []
    assert [*DatabaseRuns(target, target.database).list_without_model()] == []
    prepare_database(target)
    addresses = read_addresses(target)
    assert len(addresses) >= 4
    assert all(address.startswith(f"{new.as_uri()}/mlruns/") for address in addresses)
    assert [file.path for file in MlflowClient(target.address).list_artifacts(run_id)] == ["a.txt"]
    store = MlflowClientCache(target)
    started = store.client.create_run(store.experiment)
    assert started.info.artifact_uri.startswith(f"{new.as_uri()}/mlruns/")


@pytest.mark.fault(11, "an experiment has its files on another disk, and the project is moved")
def test_an_address_that_a_user_chose_stays(fresh, old, monkeypatch):
    prepare_database(fresh)
    chosen = (old.parent / "disk/mlruns/large").as_uri()
    MlflowClient(fresh.address).create_experiment("large", chosen)
    new = old.with_name("new place")
    monkeypatch.chdir(old.parent)
    old.rename(new)
    monkeypatch.chdir(new)
    prepare_database(fresh)
    others = {address for address in read_addresses(fresh) if address != chosen}
    assert len(others) == len(read_addresses(fresh)) - 1 > 0
    assert all(address.startswith(f"{new.as_uri()}/mlruns/") for address in others)

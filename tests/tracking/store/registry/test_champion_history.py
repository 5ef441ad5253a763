"""The champion: its changes are numbered, each is made by one process, and the alias follows."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.champion_history import (
    ChampionChange,
    ChampionChangedError,
    ChampionHistory,
    change_champion,
    complete_last_change,
    read_champion_history,
)
from pipeline.tracking.store.registry.registered_model import ensure_registered_model
from pipeline.tracking.target import TrackingTarget

ROOT = Path(__file__).parents[4]
RACE = """
import sys, time
from pathlib import Path
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry import champion_history
from pipeline.tracking.target import TrackingTarget
uri, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = MlflowClientCache(TrackingTarget(uri, "trial", 20.0))
store.client.get_registered_model("parts")
for number in range(rounds):
    Path(f"ready-{me}-{number}").touch()
    while len(list(Path().glob(f"ready-*-{number}"))) < 2:
        time.sleep(0.001)
    before = store.client.get_registered_model("parts").aliases.get("champion")
    Path(f"read-{me}-{number}").touch()
    while len(list(Path().glob(f"read-*-{number}"))) < 2:
        time.sleep(0.001)
    try:
        before = str(before) if before else None
        change = champion_history.ChampionChange("promote", str(2 * number + int(me)), before)
        champion_history.change_champion(store, "parts", change, expected=before)
        print("won", flush=True)
    except champion_history.ChampionChangedError:
        print("lost", flush=True)
    Path(f"done-{me}-{number}").touch()
    while len(list(Path().glob(f"done-*-{number}"))) < 2:
        time.sleep(0.001)
"""


def promote(version, replaced=None):
    return ChampionChange("promote", version, replaced)


def add_versions(store, count):
    """Register a model with versions that hold nothing."""
    ensure_registered_model(store, "parts")
    for _ in range(count):
        store.client.create_model_version("parts", "s3://nowhere/model")


@pytest.fixture
def store(target):
    store = MlflowClientCache(target)
    add_versions(store, 3)
    return store


def get_aliases(store):
    aliases = store.client.get_registered_model("parts").aliases
    return {alias: str(version) for alias, version in aliases.items()}


def test_the_alias_follows_a_change_and_the_challenger_loses_its_own(store):
    store.client.set_registered_model_alias("parts", "challenger", "2")
    written = change_champion(store, "parts", promote("2"), expected=None)
    assert (written.number, written.version) == (1, "2")
    assert get_aliases(store) == {"champion": "2"}
    assert read_champion_history(store, "parts").changes == (written,)


@pytest.mark.fault(13, "the champion changes between the decision of a promotion and its write")
def test_a_change_that_was_decided_against_another_champion_is_refused(store):
    change_champion(store, "parts", promote("1"), expected=None)
    with pytest.raises(ChampionChangedError, match="parts/1 is the champion now"):
        change_champion(store, "parts", promote("2"), expected=None)
    assert get_aliases(store) == {"champion": "1"}


@pytest.mark.fault(13, "a promotion is killed after its claim, before the alias")
def test_a_change_whose_process_was_killed_is_completed_by_the_next_one(store):
    history = read_champion_history(store, "parts")
    change = promote("2")._replace(number=1, claim="a")
    store.client.log_param(history.run_id, "champion.00001", json.dumps(change._asdict()))
    assert get_aliases(store) == {}
    assert complete_last_change(store, "parts").changes == (change,)
    assert get_aliases(store) == {"champion": "2"}


def test_champions_that_a_rollback_took_back_are_left_out():
    changes = [promote("1"), promote("2", "1"), promote("4", "2")]
    assert ChampionHistory("", tuple(changes)).list_champions() == ("1", "2", "4")
    changes.append(ChampionChange("rollback", "2", "4"))
    assert ChampionHistory("", tuple(changes)).list_champions() == ("1", "2")
    changes.append(promote("5", "2"))
    assert ChampionHistory("", tuple(changes)).list_champions() == ("1", "2", "5")
    changes.append(promote("6", "3"))  # somebody had moved the alias to 3
    assert ChampionHistory("", tuple(changes)).list_champions() == ("1", "2", "5", "3", "6")


def test_a_model_that_was_made_elsewhere_gets_a_history(target):
    store = MlflowClientCache(target)
    store.client.create_registered_model("parts")
    store.client.create_model_version("parts", "s3://nowhere/model")
    change_champion(store, "parts", promote("1"), expected=None)
    assert read_champion_history(store, "parts").list_champions() == ("1",)


def test_a_deleted_history_is_an_error_that_says_how_to_restore_it(store):
    run_id = read_champion_history(store, "parts").run_id
    store.client.delete_run(run_id)
    with pytest.raises(UserError, match=f"mlflow runs restore --run-id {run_id}"):
        complete_last_change(store, "parts")


def delete_for_good(store, run_id):
    """Do what `mlflow gc` does to a run."""
    store.client.delete_run(run_id)
    store.client._tracking_client.store._hard_delete_run(run_id)


@pytest.mark.fault(13, "`mlflow gc` has deleted the run that holds the champions")
def test_a_history_that_is_gone_can_be_begun_again(store):
    for version, replaced in (("1", None), ("2", "1")):
        change_champion(store, "parts", promote(version, replaced), expected=replaced)
    run_id = read_champion_history(store, "parts").run_id
    delete_for_good(store, run_id)
    with pytest.raises(UserError, match=f"{run_id}.* delete the tag finetrack.champion.run"):
        change_champion(store, "parts", promote("3", "2"), expected="2")
    store.client.delete_registered_model_tag("parts", "finetrack.champion.run")
    assert complete_last_change(store, "parts").changes == ()
    assert get_aliases(store) == {"champion": "2"}
    history = read_champion_history(store, "parts")
    killed = promote("3", "2")._replace(number=1, claim="a")
    store.client.log_param(history.run_id, "champion.00001", json.dumps(killed._asdict()))
    assert complete_last_change(store, "parts").list_champions() == ("2", "3")
    assert get_aliases(store) == {"champion": "3"}


def list_what_gc_breaks(target):
    """Run the query that stands before `mlflow gc` in the documentation."""
    query = (ROOT / "deploy/registered-but-deleted.sql").read_text()
    with closing(sqlite3.connect(target.database)) as database:
        return database.execute(query).fetchall()


@pytest.mark.fault(13, "the run that holds the champions was deleted, and `mlflow gc` is next")
def test_the_query_before_a_deletion_lists_the_run_that_holds_the_champions(store, target):
    run_id = read_champion_history(store, "parts").run_id
    store.client.create_registered_model("other")
    experiment = store.experiment
    trained = store.client.create_run(experiment).info.run_id
    store.client.create_model_version("other", "s3://nowhere/model", run_id=trained)
    assert ("parts", None, run_id, None) not in list_what_gc_breaks(target)
    store.client.delete_run(run_id)
    store.client.delete_run(trained)
    assert {("parts", None, run_id, None), ("other", 1, trained, None)} <= {*list_what_gc_breaks(target)}


@pytest.mark.parametrize("reason", ["摄像头已更换" * 400, "\U0001f600" * 1000, '"\\' * 900, "a" * 5000])
def test_a_long_reason_is_shortened_and_the_history_can_be_read(store, reason):
    change_champion(store, "parts", promote("1")._replace(reason=reason), expected=None)
    change_champion(store, "parts", promote("2", "1"), expected="1")
    first, second = complete_last_change(store, "parts").changes
    assert reason.startswith(first.reason)
    assert len(first.reason) > 300
    assert (first.number, first.version, second.number) == (1, "1", 2)


def test_a_change_that_was_cut_in_its_reason_still_counts(store):
    change_champion(store, "parts", promote("1"), expected=None)
    history = complete_last_change(store, "parts")
    lost = promote("2", "1")._replace(number=2, reason="x" * 7000)
    store.client.log_param(history.run_id, "champion.00002", json.dumps(lost._asdict())[:6000])
    changes = complete_last_change(store, "parts").changes
    assert [(each.number, each.version, each.replaced) for each in changes] == [(1, "1", None), (2, "2", "1")]
    assert change_champion(store, "parts", promote("3", "2"), expected="2").number == 3


def test_a_change_that_cannot_be_read_is_an_error_that_names_it(store):
    change_champion(store, "parts", promote("1"), expected=None)
    history = complete_last_change(store, "parts")
    store.client.log_param(history.run_id, "champion.00002", "{")
    with pytest.raises(UserError, match=r"champion\.00002.*" + history.run_id):
        complete_last_change(store, "parts")


def race(uri, folder, rounds):
    """Let two processes change the champion at the same moments; return what each round printed."""
    command = [sys.executable, "-c", RACE, uri]
    running = [
        subprocess.Popen(
            [*command, str(me), str(rounds)],
            cwd=folder,
            env={
                "PYTHONPATH": str(ROOT),
                "PATH": "/usr/bin:/bin",
                "HOME": str(folder),
                "DVC_ROOT": str(folder / str(me)),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in (1, 2)
    ]
    outputs = [process.communicate(timeout=120)[0].split() for process in running]
    return [tuple(sorted(pair)) for pair in zip(*outputs, strict=True)]


@pytest.mark.fault(13, "two processes promote at the same moment, without a lock that both see")
@pytest.mark.parametrize("kind", ["database", pytest.param("server", marks=pytest.mark.slow)])
def test_of_two_processes_that_promote_at_once_one_wins(kind, target, tmp_path, request):
    rounds = 3
    uri = f"sqlite:///{target.database}"
    if kind == "server":
        server = request.getfixturevalue("server")
        server.start()
        uri = server.uri
    store = MlflowClientCache(TrackingTarget(uri, "trial", 20.0))
    add_versions(store, 2 * rounds)
    assert race(uri, tmp_path, rounds) == [("lost", "won")] * rounds
    history = read_champion_history(store, "parts")
    assert [change.number for change in history.changes] == [*range(1, rounds + 1)]
    assert get_aliases(store) == {"champion": history.changes[-1].version}

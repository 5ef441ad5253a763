"""The doctor's checks of store, runs and messages, with a real store; --fix mends what processes left."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.doctor.examined_project import ExaminedProject
from pipeline.doctor.records.journals import check_journals
from pipeline.doctor.records.open_runs import check_open_runs
from pipeline.doctor.records.run_models import check_run_models
from pipeline.doctor.records.tracking_store import check_tracking_store
from pipeline.tracking.examination import database_file
from pipeline.tracking.outbox import create_outbox
from pipeline.tracking.recovery import identify_machine, identify_process, is_process_gone
from pipeline.tracking.store.run_tags import PROCESS_TAG
from pipeline.tracking.target import TrackingTarget
from tests.tracking.examination.test_database_file import HOLD, change
from tests.tracking.servers import find_free_port

ROOT = Path(__file__).parents[3]


@pytest.fixture
def examine(target):
    """Return the project as it is now; its configuration names the store."""

    def examine(store: TrackingTarget = target) -> ExaminedProject:
        project = ExaminedProject(target.database.parent)
        project.__dict__["target"] = store
        return project

    return examine


@pytest.fixture
def runs(target, client):
    """Runs that are RUNNING: of a process that has ended, of this one, of another machine."""
    experiment = client.create_experiment(target.experiment, target.artifact_location)
    owners = {"gone": f"{identify_machine()}4194000:1", "here": identify_process(), "there": "other:0:1:1"}
    tags = {"finetrack.stage.finetune": "running"}
    return {
        name: client.create_run(experiment, tags={PROCESS_TAG: owner, **tags}, run_name=name).info.run_id
        for name, owner in owners.items()
    }


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        (lambda parts: parts, False),
        (lambda parts: [parts[0], str(int(parts[1]) - 3600), *parts[2:]], False),  # the clock was set
        (lambda parts: [*parts[:3], str(int(parts[3]) - 1)], True),  # another process has its number now
        (lambda parts: [*parts[:2], "another-start", parts[3]], True),
        (lambda parts: parts[:2], False),  # as runs before this edition have it
        (lambda parts: [parts[0], str(int(parts[1]) - 3600)], True),
        (lambda parts: parts[:1], False),
    ],
)
def test_a_process_is_known_by_its_start_since_that_of_the_machine(change, gone):
    known = identify_process().removeprefix(identify_machine()).split(":")
    assert is_process_gone(identify_machine() + ":".join(change(known))) is gone


def leave_messages(uri, experiment):
    """Leave the messages of a command that was killed."""
    outbox = create_outbox(uri, experiment, "k1")
    outbox.append("open", stage="finetune", name="killed", tags={})
    outbox.append("metrics", values={"loss": 1.0}, step=1)
    outbox.release()


def only(findings):
    [found] = findings
    return found


@pytest.mark.fault(8, "SIGKILL of a stage, seen by the doctor")
def test_what_killed_processes_left_is_found_and_mended(target, client, runs, examine):
    leave_messages(target.uri, target.experiment)
    project = examine()
    journal, running = only(check_journals(project)), only(check_open_runs(project))
    assert (journal.state, "2 messages" in journal.seen) == ("warning", True)
    assert (running.state, "1 run is RUNNING" in running.seen) == ("warning", True)
    assert "1 metric" in journal.repair()
    assert "closed 1 run as KILLED: gone" in running.repair()
    statuses = {name: client.get_run(run_id).info.status for name, run_id in runs.items()}
    assert statuses == {"gone": "KILLED", "here": "RUNNING", "there": "RUNNING"}
    assert only(check_journals(examine())).state == "ok"
    found = only(check_open_runs(examine()))
    assert (found.state, "2 runs are RUNNING, 1 of them not by this machine" in found.seen) == ("ok", True)
    assert only(check_run_models(examine())).state == "ok"


def test_messages_for_another_store_are_told_and_not_sent(target, examine):
    leave_messages("http://127.0.0.1:1", target.experiment)
    found = only(check_journals(examine()))
    assert (found.state, "tracking.uri=http://127.0.0.1:1" in found.advice, found.repair) == (
        "warning",
        True,
        None,
    )


def test_messages_that_a_process_sends_are_left_to_it(target, examine):
    code = (
        "from pipeline.tracking.outbox import create_outbox\n"
        f"box = create_outbox({target.uri!r}, 'trial', 'k1')\n"
        "box.append('open', stage='finetune'); print(1, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {"PYTHONPATH": ":".join(filter(None, [str(ROOT), *sys.path[1:]]))}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=target.database.parent, env=environment, **pipes) as process:
        process.stdout.readline()
        found = only(check_journals(examine()))
        process.communicate(b"\n")
    assert (found.state, "1 command is sending" in found.seen) == ("ok", True)


@pytest.mark.fault(6, "a database of another program or version")
@pytest.mark.parametrize(
    ("version", "state", "repairs"), [("of2099", "fault", False), ("451aebb31d03", "warning", False)]
)
def test_a_database_of_another_version_is_not_upgraded(target, examine, version, state, repairs):
    change(target.database, f"UPDATE alembic_version SET version_num = '{version}'")
    leave_messages(target.uri, target.experiment)
    project = examine()
    assert only(check_tracking_store(project)).state == state
    assert (only(check_journals(project)).repair is not None) == repairs


@pytest.mark.fault(6, "another process has locked the database")
def test_the_holder_of_a_lock_is_named(target, examine, monkeypatch):
    monkeypatch.setattr(database_file, "LOCK_WAIT_SECONDS", 0.1)
    command = [sys.executable, "-S", "-c", HOLD, str(target.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        found = only(check_tracking_store(examine()))
        process.stdin.close()
    assert (found.state, f"process {process.pid}" in found.seen) == ("fault", True)


@pytest.mark.fault(6, "the server is away or dies")
def test_a_server_that_is_away_is_a_fault_and_its_runs_are_not_asked_for(examine):
    uri = f"http://127.0.0.1:{find_free_port()}"
    project = examine(TrackingTarget(uri, "trial", 1.0))
    found = only(check_tracking_store(project))
    assert (found.state, "refused" in found.seen) == ("fault", True)
    assert only(check_open_runs(project)).state == only(check_run_models(project)).state == "ok"


def test_a_store_that_does_not_exist_yet_is_ok(examine, target):
    target.database.unlink()
    for check in (check_tracking_store, check_open_runs, check_run_models, check_journals):
        assert only(check(examine())).state == "ok"
    assert [*target.database.parent.iterdir()] == []

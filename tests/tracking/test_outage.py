"""Outages of a real MLflow server: nothing is lost or sent twice, and no stage waits."""

import json
import re
import socket
import time
from dataclasses import replace
from functools import partial

import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.tracking import sender
from pipeline.tracking.delivery_report import describe_delivery, require_delivery
from pipeline.tracking.outbox import create_outbox
from pipeline.tracking.runs import attach_run, open_run, send_missed
from pipeline.tracking.store.run_tags import KEY_TAG
from pipeline.tracking.target import TrackingTarget
from tests.tracking.servers import FaultyProxy, find_free_port

STEPS = 30


def list_outboxes(project):
    return [folder for folder in (project / ".finetrack/outbox").iterdir() if not folder.name.startswith(".")]


def check_complete(target):
    from mlflow import MlflowClient

    client = MlflowClient(target.uri)
    [run] = client.search_runs([client.get_experiment_by_name(target.experiment).experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, step / 10) for step in range(STEPS)]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr0": "0.001"}
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["notes.txt"]
    [model] = client.search_logged_models([run.info.experiment_id])
    assert (str(model.status), model.source_run_id) == ("READY", run.info.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    return run


def read_model_metrics(target):
    from mlflow import MlflowClient

    client = MlflowClient(target.uri)
    experiment = client.get_experiment_by_name(target.experiment)
    [model] = client.search_logged_models([experiment.experiment_id])
    return {metric.key: metric.value for metric in model.metrics}


def train(target, project, events=None):
    with open_run(target, key="k1", name="demo", tags={}) as session:
        session.log_params({"lr0": 0.001})
        (project / "notes.txt").write_text("hello")
        session.log_artifact(project / "notes.txt")
        for step in range(STEPS):
            if events and step in events:
                events[step](session)
            session.log_metrics({"loss": step / 10, "nan": float("nan")}, step=step)
        (project / "best.pt").write_bytes(b"in place of weights, which are not loaded here")
        Image.new("RGB", (32, 32)).save(project / "part.png")
        session.log_model(project / "best.pt", example=project / "part.png", metrics={"best/mAP50-95": 0.5})
    return session


@pytest.mark.slow
@pytest.mark.fault(6, "the server is away or dies")
def test_messages_of_two_stages_during_an_outage_reach_one_run(server, project):
    server.kill()
    target = TrackingTarget(server.uri, "both stages", 3.0)
    begin = time.time()
    training = train(target, project)
    assert training.run_id is None
    with attach_run(target, key="k1", run_id=None) as session:
        session.log_metrics({"test/mAP50": 0.5})
    end = time.time()
    assert len(list_outboxes(project)) == 1
    time.sleep(1)
    assert send_missed(target).waiting == 1
    server.start()
    assert send_missed(target).waiting == 0
    run = check_complete(target)
    assert run.data.metrics["test/mAP50"] == 0.5
    assert read_model_metrics(target) == {"best/mAP50-95": 0.5, "test/mAP50": 0.5}
    assert (
        begin - 1 < run.info.start_time / 1000 < run.info.end_time / 1000 < end + 1
    )  # not the time of sending


@pytest.mark.slow
@pytest.mark.fault(6, "the server is away or dies")
def test_a_server_that_restarts_gets_every_message_once(server, project, capfd):
    server.start()
    target = TrackingTarget(server.uri, "dies and returns", 3.0)

    def die(session):
        assert session.run_id
        server.kill()

    def return_(session):
        session.log_metrics({"during the outage": 1.0}, step=0)
        time.sleep(1.5)  # long enough for a second try
        server.start()
        for _ in range(300):  # until it has the missed messages
            if "answers again" in capfd.readouterr().err:
                return
            time.sleep(0.1)

    train(target, project, {10: die, 15: return_, 20: die})
    assert "messages for MLflow" in capfd.readouterr().err
    assert len(list_outboxes(project)) == 1
    server.start()
    for _ in range(2):
        send_missed(target)
        check_complete(target)
    assert list_outboxes(project) == []


@pytest.fixture
def mute():
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.fault(6, "a server that accepts connections and never answers")
def test_a_server_that_never_answers_does_not_delay_a_training(mute, project, capfd, monkeypatch):
    monkeypatch.setattr(sender, "ANSWER_SECONDS", 1.5)
    target = TrackingTarget(mute, "trial", 10.0)
    spent = []
    with open_run(target, key="k1", name="demo", tags={}) as session:
        for step in range(100):
            begin = time.perf_counter()
            session.log_metrics({"loss": 1.0, "mAP50-95(B)": 0.5}, step=step)
            spent.append(time.perf_counter() - begin)
        begin = time.monotonic()
        assert session.run_id is None
    assert sorted(spent)[95] < 0.005  # a busy machine may hold up one or two
    assert time.monotonic() - begin < 5
    assert "102 messages for MLflow" in (said := capfd.readouterr().err)
    assert "(no answer in time)" in said
    assert len(list_outboxes(project)) == 1


@pytest.mark.slow
@pytest.mark.fault(6, "a server that accepts connections and never answers")
def test_a_server_that_never_answers_does_not_delay_an_evaluation(mute, project):
    begin = time.monotonic()
    with attach_run(TrackingTarget(mute, "trial", 10.0), key="k1", run_id="1" * 32) as session:
        session.log_metrics({"test/mAP50": 0.5})
    assert time.monotonic() - begin < 8
    assert len(list_outboxes(project)) == 1


@pytest.fixture
def proxy(server):
    """A function that starts a proxy with faults before the server."""
    started = []

    def start(faults=None, **options):
        server.start()
        started.append(FaultyProxy(server, faults, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


LOST_ANSWERS = {
    "runs/create": "lose answer",
    "runs/log-batch": "lose answer",
    "POST .*logged-models$": "lose answer",
    "POST .*logged-models/.*/params": "lose answer",
    "runs/outputs": "lose answer",
    "PUT .*MLmodel": "lose answer",
    "PATCH .*logged-models": "lose answer",
    "runs/update": "lose answer",
}


@pytest.mark.fault(12, "an answer of the server is lost")
def test_lost_answers_neither_double_nor_lose_anything(proxy, project):
    between = proxy(LOST_ANSWERS)
    target = TrackingTarget(between.uri, "lost answers", 5.0)
    params = {f"p{number}": number for number in range(162)}
    with open_run(target, key="k1", name="demo", tags={}) as session:
        session.log_params(params)
        session.log_metrics({"loss": 1.0}, step=0)
        session.log_metrics({"best/mAP50-95": 0.5})
        (project / "best.pt").write_bytes(b"in place of weights, which are not loaded here")
        Image.new("RGB", (32, 32)).save(project / "part.png")
        session.log_model(project / "best.pt", example=project / "part.png", metrics={"best/mAP50-95": 0.5})
    with attach_run(target, key="k1", run_id=session.run_id) as evaluation:
        evaluation.log_metrics({"test/mAP50": 0.4})
    for _ in range(30):  # the end of a stage tries three times
        if not list_outboxes(project):
            break
        send_missed(target)
    assert between.happened.keys() == LOST_ANSWERS.keys()
    check_single_run(target, params={name: str(value) for name, value in params.items()})


@pytest.mark.fault(12, "a server that passes a large file on before it answers")
def test_a_large_file_is_waited_for(proxy, project):
    between = proxy({"PUT .*weights.bin": "answer late"}, times=100)
    (project / "weights.bin").write_bytes(bytes(4_000_000))
    with open_run(TrackingTarget(between.uri, "large files", 2.0), key="k1", name="demo", tags={}) as session:
        session.log_artifact(project / "weights.bin")
    assert not list_outboxes(project)
    assert list(between.happened.values()) == [1]


def check_single_run(target, params):
    """Check that there is one run with one model, and each parameter and metric once."""
    from mlflow import MlflowClient

    client = MlflowClient(target.uri)
    experiment = client.get_experiment_by_name(target.experiment).experiment_id
    [run] = client.search_runs([experiment])
    [model] = client.search_logged_models([experiment])
    assert run.data.params == model.params == params
    assert (run.info.status, str(model.status)) == ("FINISHED", "READY")
    assert {output.model_id for output in run.outputs.model_outputs} == {model.model_id}
    results = [("best/mAP50-95", 0.5), ("test/mAP50", 0.4)]
    assert sorted((metric.key, metric.value) for metric in model.metrics) == results
    for name in run.data.metrics:
        assert len(client.get_metric_history(run.info.run_id, name)) == 1


def hand_over(project, uri):
    """Let the messages for a server that was away wait for the server at this address."""
    for outbox in list_outboxes(project):
        head = json.loads((outbox / "head.json").read_text())
        (outbox / "head.json").write_text(json.dumps(head | {"uri": uri}))


@pytest.mark.fault(6, "a server that refuses or loses what it answers")
def test_send_says_what_the_server_has_lost(proxy, project):
    (project / "notes.txt").write_text("hello")
    target = TrackingTarget(f"http://127.0.0.1:{find_free_port()}", "lost files", 3.0)
    with open_run(target, key="k1", name="demo", tags={}) as session:
        session.log_artifact(project / "notes.txt")
        session.log_params({"lr0": 0.1})
        session.log_metrics({"loss": 0.1})
    between = proxy({"PUT .*notes.txt": "swallow", "log-batch": "swallow"}, times=1)
    hand_over(project, between.uri)
    report = send_missed(replace(target, uri=between.uri))
    assert between.happened.total() == 2
    [lost] = report.missing
    assert re.fullmatch(r"1 file of run \w{32} \(notes.txt\)", lost)
    assert dict(report.sent) == {"runs": 1, "files": 1, "metrics": 1}
    with pytest.raises(UserError, match="lacks what was sent: 1 file of run"):
        require_delivery(report, between.uri)


@pytest.mark.fault(6, "a server that refuses or loses what it answers")
@pytest.mark.usefixtures("project")
def test_the_reason_is_what_the_server_says(proxy):
    refusing = proxy(host="evil.example.org")
    with open_run(TrackingTarget(refusing.uri, "trial", 3.0), key="k1", name="demo", tags={}):
        pass
    report = send_missed(TrackingTarget(refusing.uri, "trial", 3.0))
    assert report.waiting == 1
    [reason] = report.failures
    assert reason == "the server answers 403: Invalid Host header - possible DNS rebinding attack detected"
    nobody = TrackingTarget(f"http://127.0.0.1:{find_free_port()}", "trial", 3.0)
    with open_run(nobody, key="k2", name="demo", tags={}):
        pass
    assert send_missed(nobody).failures == ["Connection refused"]


@pytest.fixture
def behind_server(target, client):
    """An experiment whose files go through an MLflow server, in a database that is used without one."""
    client.create_experiment(target.experiment, "mlflow-artifacts:/1")
    return target


@pytest.mark.fault(6, "an experiment was created through a server, and the database is used without it")
@pytest.mark.parametrize("enter", [partial(open_run, tags={}, name="n"), partial(attach_run, run_id=None)])
def test_files_that_only_a_server_reaches_are_named_before_the_work(behind_server, tmp_path, enter):
    with (
        pytest.raises(UserError, match=r"experiment trial .*mlflow-artifacts:/1"),
        enter(behind_server, key="k1"),
    ):
        raise AssertionError("the work began")
    assert not [*tmp_path.rglob("messages.jsonl")]


@pytest.mark.fault(6, "a run of an experiment behind a server waits here with a file")
def test_a_file_that_only_a_server_could_store_holds_up_nothing(behind_server, client, capsys):
    opening = {"stage": "finetune", "name": "n", "tags": {KEY_TAG: "k1"}}
    end = {"stage": "finetune", "adds": False, "status": "finished", "tags": {}}
    outbox = create_outbox(behind_server.uri, behind_server.experiment, "k1")
    outbox.append("open", **opening)
    (outbox.folder / "files/1").mkdir(parents=True)
    (outbox.folder / "files/1/a.txt").write_text("a")
    outbox.append("artifact", file="files/1/a.txt", folder="", files=[("a.txt", 1)])
    outbox.append("end", **end)
    outbox.release()
    report = send_missed(behind_server)
    assert (report.waiting, report.sent["runs"]) == (0, 1), report
    assert len(report.missing) == 1
    [run] = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert run.info.status == "FINISHED"
    assert "MLflow refused artifact files/1/a.txt" in capsys.readouterr().err


@pytest.mark.fault(6, "an experiment was deleted")
def test_a_deleted_experiment_is_named_and_does_not_stop_other_runs(server, project):
    from mlflow import MlflowClient

    nobody = f"http://127.0.0.1:{find_free_port()}"
    for key, experiment in (("k1", "deleted"), ("k2", "not deleted")):
        with open_run(TrackingTarget(nobody, experiment, 3.0), key=key, name="demo", tags={}):
            pass
    hand_over(project, server.uri)
    server.start()
    target = TrackingTarget(server.uri, "deleted", 3.0)
    client = MlflowClient(server.uri)
    client.delete_experiment(client.create_experiment("deleted"))
    report = send_missed(replace(target, experiment="not deleted"))
    assert (report.waiting, report.sent["runs"]) == (1, 1)
    assert report.failures == [
        "the MLflow experiment deleted was deleted: restore it, or set tracking.experiment"
    ]
    with pytest.raises(UserError, match=r"^1 run waits in .*: the MLflow experiment deleted was deleted"):
        require_delivery(report, target.uri)
    assert (
        describe_delivery(report, target.uri)
        == f"sent 0 metrics and 0 files of 1 run to MLflow at {target.uri}"
    )


@pytest.mark.fault(15, "password in the environment")
def test_no_password_is_written_to_disk(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-word")
    train(TrackingTarget(f"http://127.0.0.1:{find_free_port()}", "trial", 1.0), project)
    files = [path for path in project.rglob("*") if path.is_file()]
    assert files
    assert not any(b"secret-word" in path.read_bytes() for path in files)

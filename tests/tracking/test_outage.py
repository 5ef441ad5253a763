"""Outages of a real MLflow server: nothing is lost or sent twice, and no stage waits."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from pipeline.tracking.runs import attach_run, open_run, send_missed
from pipeline.tracking.target import TrackingTarget

STEPS = 30


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A real MLflow server with its own database and folder, which can be killed and restarted."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.port = find_free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        if self.process:
            return
        command = [Path(sys.executable).with_name("mlflow"), "server", "--host", "127.0.0.1"]
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--artifacts-destination"]
        more = [f"{self.folder}/artifacts", "--port", str(self.port), "--workers", "1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen([*command, *store, *more], env=environment, cwd=self.folder, **quiet)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("the MLflow server does not start")

    def kill(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests, since a start takes seconds; each test starts or kills it as needed."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


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
    assert (
        begin - 1 < run.info.start_time / 1000 < run.info.end_time / 1000 < end + 1
    )  # not the time of sending


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


def test_a_server_that_never_answers_does_not_delay_the_stage(mute, project, capfd):
    target = TrackingTarget(mute, "trial", 1.0)
    spent = []
    with open_run(target, key="k1", name="demo", tags={}) as session:
        for step in range(100):
            begin = time.perf_counter()
            session.log_metrics({"loss": 1.0, "mAP50-95(B)": 0.5}, step=step)
            spent.append(time.perf_counter() - begin)
        begin = time.monotonic()
    assert sorted(spent)[95] < 0.005  # a busy machine may hold up one or two
    assert time.monotonic() - begin < 4
    assert "wait in" in capfd.readouterr().err
    assert len(list_outboxes(project)) == 1


def test_no_password_is_written_to_disk(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-word")
    train(TrackingTarget(f"http://127.0.0.1:{find_free_port()}", "trial", 1.0), project)
    files = [path for path in project.rglob("*") if path.is_file()]
    assert files
    assert not any(b"secret-word" in path.read_bytes() for path in files)

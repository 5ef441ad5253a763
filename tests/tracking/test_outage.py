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

from pipeline.tracking import runs
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.target import TrackingTarget

STEPS = 30


def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A real MLflow server, on a database and a folder of its own, that can be killed and started again."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.port = port()
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
    """One server for all tests, in whatever state the last one left it: a start takes seconds."""
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


def outbox(project):
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
        session.params({"lr0": 0.001})
        (project / "notes.txt").write_text("hello")
        session.artifact(project / "notes.txt")
        for step in range(STEPS):
            if events and step in events:
                events[step](session)
            session.metrics({"loss": step / 10, "nan": float("nan")}, step=step)
        (project / "best.pt").write_bytes(b"stands for weights, which nobody loads here")
        Image.new("RGB", (32, 32)).save(project / "part.png")
        session.model(project / "best.pt", example=project / "part.png", metrics={"best/mAP50-95": 0.5})
    return session


def test_both_stages_of_an_outage_reach_one_run(server, project):
    server.kill()
    target = TrackingTarget(server.uri, "both stages", 3.0)
    begin = time.time()
    training = train(target, project)
    assert training.run_id is None
    with runs.attach(target, key="k1", run_id=None) as session:
        session.metrics({"test/mAP50": 0.5})
    end = time.time()
    assert len(outbox(project)) == 1
    time.sleep(1)
    assert send_missed(target) == 1
    server.start()
    assert send_missed(target) == 0
    run = check_complete(target)
    assert run.data.metrics["test/mAP50"] == 0.5
    assert begin - 1 < run.info.start_time / 1000 < run.info.end_time / 1000 < end + 1  # not when it was sent


def test_a_server_that_dies_and_returns_gets_everything_once(server, project, capfd):
    server.start()
    target = TrackingTarget(server.uri, "dies and returns", 3.0)

    def die(session):
        assert session.run_id
        server.kill()

    def return_(session):
        session.metrics({"said in between": 1.0}, step=0)
        time.sleep(1.5)  # long enough for a second try
        server.start()
        for _ in range(300):  # until it has what it missed
            if "answers again" in capfd.readouterr().err:
                return
            time.sleep(0.1)

    train(target, project, {10: die, 15: return_, 20: die})
    assert "messages for MLflow" in capfd.readouterr().err
    assert len(outbox(project)) == 1
    server.start()
    for _ in range(2):
        send_missed(target)
        check_complete(target)
    assert outbox(project) == []


@pytest.fixture
def mute():
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_answers_costs_nothing(mute, project, capfd):
    target = TrackingTarget(mute, "trial", 1.0)
    spent = []
    with open_run(target, key="k1", name="demo", tags={}) as session:
        for step in range(100):
            begin = time.perf_counter()
            session.metrics({"loss": 1.0, "mAP50-95(B)": 0.5}, step=step)
            spent.append(time.perf_counter() - begin)
        begin = time.monotonic()
    assert sorted(spent)[95] < 0.005  # a busy machine may hold up one or two
    assert time.monotonic() - begin < 4
    assert "wait in" in capfd.readouterr().err
    assert len(outbox(project)) == 1


def test_no_password_is_written_down(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-word")
    train(TrackingTarget(f"http://127.0.0.1:{port()}", "trial", 1.0), project)
    files = [path for path in project.rglob("*") if path.is_file()]
    assert files
    assert not any(b"secret-word" in path.read_bytes() for path in files)

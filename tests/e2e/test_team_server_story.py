"""A project on the team's MLflow server: pipeline, sweep, registry, serve; secrets; backup, upgrade, gc."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.conftest import ROOT, Project, create, use_smoke_values
from tests.e2e.team_server import BUCKET, TeamServer
from tests.tracking.servers import find_free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CANARIES = {
    name: f"canary-{name}-{os.urandom(8).hex()}" for name in ("git", "dvc", "uri", "storage", "s3", "pg")
}
"""Secrets that a machine has, and that nothing of the project may keep."""
SETTINGS = (".dvc/config.local", ".git/config")
"""Files in which a user keeps secrets: they are in no commit, and on no other machine."""


class Story(NamedTuple):
    """A project after its commands.

    Attributes:
        project: Its folder.
        said: What all commands wrote.
        password: Of its user on the server.
    """

    project: Project
    said: str
    password: str


@pytest.fixture(scope="module")
def server(team_server) -> TeamServer:
    return team_server


@pytest.fixture(scope="module")
def dora(server):
    """A user who may write the experiment and the registered model of the project."""
    variables = server.add_user("dora")
    server.run_users("grant", "dora", "--experiment", "story", "--model", "finetrack")
    return variables


@pytest.fixture(scope="module")
def story(server, dora, tmp_path_factory) -> Story:
    """A small project whose runs go to the server, on a machine with secrets of all kinds."""
    folder = tmp_path_factory.mktemp("story") / "project"
    secrets = {"AWS_SECRET_ACCESS_KEY": CANARIES["s3"], "PGPASSWORD": CANARIES["pg"]}
    project = create(folder, **dora, **secrets, AWS_ACCESS_KEY_ID="any", HOME=str(folder.parent))
    (folder / "models/foundation").mkdir(parents=True)
    shutil.copy(ROOT / "models/foundation/yolo26n-foundation.pt", folder / "models/foundation")
    use_smoke_values(project)
    project.edit("conf/config.yaml", "- tracking: local", "- tracking: server")
    project.edit("conf/tracking/server.yaml", "http://127.0.0.1:5000", server.uri)
    project.edit("conf/experiment/small.yaml", "experiment: smoke", "experiment: story")
    project.run(f"git remote add origin https://dora:{CANARIES['git']}@git.example.org/team.git")
    project.run("dvc remote add --local --default store ssh://store.example.org/team")
    project.run(f"dvc remote modify --local store password {CANARIES['dvc']}")
    project.commit()
    said = [
        project.run(command)
        for command in (
            "dvc repro",
            "git add -A && git commit -qm reproduced",
            "python -m pipeline register workspace",
            "python -m pipeline promote",
            "python -m pipeline sweep finetune.lr0=0.001,0.003 sweep.name=team",
            "python -m pipeline runs",
        )
    ]
    return Story(project, "\n".join(said), dora["MLFLOW_TRACKING_PASSWORD"])


@pytest.fixture
def client(server, monkeypatch):
    """MLflow's client of the administrator."""
    from mlflow import MlflowClient

    for name, value in server.admin.items():
        monkeypatch.setenv(name, value)
    return MlflowClient(server.uri)


def list_runs(client, experiment="story"):
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


@contextmanager
def serve(project: Project) -> Iterator[str]:
    """Run `finetrack serve`, and yield its address when it answers."""
    port = find_free_port()
    command = ["python", "-m", "pipeline", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=project.folder, env=project.environment)
    end = time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_runs_model_and_sweep_are_on_the_server(story, client):
    runs = {run.info.run_id: run for run in list_runs(client)}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {"0.002", "0.001", "0.003"} <= {run.data.params.get("finetune.lr0") for run in runs.values()}
    (sweep,) = {run.data.tags.get("mlflow.parentRunId") for run in runs.values()} & set(runs) - {
        trained(story)
    }
    assert {run.info.run_id for run in runs.values()} >= {sweep, trained(story)}
    assert client.get_model_version_by_alias("finetrack", "champion").run_id == trained(story)
    assert not (story.project.folder / "mlflow.db").exists()
    assert not (story.project.folder / "mlruns").exists()


def trained(story: Story) -> str:
    """Return the run of the first training."""
    return json.loads((story.project.folder / "models/finetuned/run.json").read_text())["run_id"]


def test_a_second_repro_does_nothing(story, client):
    before = len(list_runs(client))
    story.project.run("dvc repro")
    assert len(list_runs(client)) == before


def test_the_champion_of_the_server_answers_requests(story):
    image = next((story.project.folder / "data/prepared/images/test").glob("*"))
    body = json.dumps({"images": [base64.b64encode(image.read_bytes()).decode()]}).encode()
    shutil.rmtree(story.project.folder / ".finetrack/iterations", ignore_errors=True)
    with serve(story.project) as address:
        asked = urllib.request.Request(
            f"{address}/predict", data=body, headers={"Content-Type": "application/json"}
        )
        answer = json.loads(urllib.request.urlopen(asked, timeout=60).read())
    assert answer["model"]["version"] == "1"


def find_secrets(text: bytes, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if secret.encode() in text]


def read_git_objects(project: Project) -> bytes:
    """Return the contents of all objects of a repository, also of those that no commit names."""
    git = ["git", "-C", str(project.folder), "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    return subprocess.run(git, capture_output=True, check=True, env=project.environment).stdout


@pytest.mark.fault(15, "secrets in the environment, in DVC's and in git's settings")
def test_no_secret_is_written_or_printed(server, story):
    pair = base64.b64encode(f"dora:{story.password}".encode()).decode()
    secrets = [*CANARIES.values(), story.password, pair]
    assert find_secrets(story.said.encode(), secrets) == []
    folder = story.project.folder
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not path.as_posix().endswith(SETTINGS):
            assert find_secrets(path.read_bytes(), secrets) == [], path
    objects = read_git_objects(story.project)
    assert len(objects) > 1000
    assert find_secrets(objects, secrets) == []
    assert find_secrets(server.run("pg_dump mlflow").encode(), secrets) == []
    bucket = server.open_bucket()
    for key in server.list_keys():
        assert find_secrets(bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read(), secrets) == [], key
    for log in server.folder.glob("*.log"):
        own = [*secrets, *(value for name, value in server.settings.items() if "PASSWORD" in name)]
        assert find_secrets(log.read_bytes(), own) == [], log


@pytest.mark.fault(15, "a password in an address on the command line")
@pytest.mark.parametrize(
    "command",
    [
        "dvc exp run -S tracking.uri=https://dora:{uri}@localhost:1",
        "python -m pipeline preview tracking.uri=https://dora:{uri}@localhost:1",
        "python -m pipeline sweep finetune.lr0=0.003,0.004 tracking.uri=https://dora:{uri}@localhost:1",
        "python -m pipeline sweep finetune.lr0=0.003,0.004 sweep.storage=postgresql://dora:{storage}@localhost/team",
        "python -m pipeline sweep finetune.lr0=0.003,0.004 'sweep.storage=postgresql://h/db?password={storage}'",
    ],
)
def test_a_password_in_an_address_is_refused_and_kept_nowhere(story, command):
    folder = story.project.folder
    said = story.project.run(command.format(**CANARIES), fails=True)
    secrets = [CANARIES["uri"], CANARIES["storage"]]
    assert find_secrets(said.encode(), secrets) == []
    assert "must not hold" in said
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and find_secrets(path.read_bytes(), secrets)
    ]
    assert found == []
    if command.startswith("dvc exp run"):  # DVC stashes params.yaml before it runs any stage
        assert "change this password" in said
    else:
        assert CANARIES["storage"].encode() not in read_git_objects(story.project)


def describe_runs(client) -> dict:
    return {
        run.info.run_id: (run.info.status, run.data.params, run.data.metrics) for run in list_runs(client)
    }


@pytest.mark.usefixtures("story")
def test_a_backup_restores_runs_files_and_users(server, dora, client, tmp_path, monkeypatch):
    before, keys = describe_runs(client), server.list_keys()
    first = server.run(f"python deploy/backup.py save {tmp_path}/backup")
    assert f"of them {len(keys)} new" in first
    assert "of them 0 new" in server.run(f"python deploy/backup.py save {tmp_path}/backup")
    assert "has tables" in server.run(f"python deploy/backup.py restore {tmp_path}/backup", fails=True)

    server.stop("mlflow")
    bucket = server.open_bucket()
    for key in keys:
        bucket.delete_object(Bucket=BUCKET, Key=key)
    server.query_postgres("DROP DATABASE mlflow; DROP DATABASE mlflow_auth;")
    server.query_postgres(server.run("deploy/create-databases.sh"))
    server.run(f"python deploy/backup.py restore {tmp_path}/backup")
    server.start_mlflow()

    assert describe_runs(client) == before
    assert sorted(server.list_keys()) == sorted(keys)
    for name, value in dora.items():  # her password is in the other database
        monkeypatch.setenv(name, value)
    version = client.get_model_version_by_alias("finetrack", "champion")
    read = client.download_artifacts(version.run_id, "finetuned", str(tmp_path))
    assert (Path(read) / "best.pt").stat().st_size > 1_000_000


@pytest.mark.usefixtures("story")
def test_databases_are_upgraded_more_than_once_without_harm(server, client):
    before = describe_runs(client)
    server.stop("mlflow")
    for _ in range(2):
        server.run("mlflow db upgrade postgresql+psycopg:///mlflow")
        server.run("python -m mlflow.server.auth db upgrade --url postgresql+psycopg:///mlflow_auth")
    server.start_mlflow()
    assert describe_runs(client) == before


def test_gc_takes_what_a_registered_version_is_made_of_and_the_query_warns_of_it(server, story, client):
    query = "psql -X -A -t -f deploy/registered-but-deleted.sql mlflow"
    collect = "mlflow gc --backend-store-uri postgresql+psycopg:///mlflow"
    login = server.admin | {"MLFLOW_TRACKING_URI": server.uri}
    run_id = trained(story)
    model_id = client.get_run(run_id).outputs.model_outputs[0].model_id
    assert server.run(query).strip() == ""

    client.delete_run(run_id)
    assert server.run(query).split("|")[:3] == ["finetrack", "1", run_id]
    server.run(f"mlflow runs restore --run-id {run_id}", **login)
    assert server.run(query).strip() == ""

    client.delete_run(run_id)
    assert "permanently deleted" in server.run(collect, **login)
    assert not [key for key in server.list_keys() if f"/{run_id}/" in key]
    assert [key for key in server.list_keys() if f"/models/{model_id}/" in key]
    assert client.get_model_version_by_alias("finetrack", "champion").run_id == run_id
    shutil.rmtree(story.project.folder / ".finetrack/iterations", ignore_errors=True)
    said = story.project.run(
        "python -m pipeline predict data/prepared/images/test --model champion", fails=True
    )
    assert f"was made from a run that MLflow does not have any more, or does not show you ({run_id})" in said

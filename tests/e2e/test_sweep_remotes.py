"""Jobs on a machine that does not see the project's disk: code by git, data by a DVC remote, and back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import JobEnded
from pipeline.sweep.workers.job_request import JobRequest, format_request, parse_event
from pipeline.sweep.workers.node_process import NodePlace, NodeProcess
from pipeline.sweep.workers.remote_workspace import RemotePublisher
from tests import sources
from tests.e2e.cluster_sweeps import build_context, build_job, user_environment
from tests.e2e.conftest import Project
from tests.remotes.stores import serve_sftp

SERVER = "http://127.0.0.1:5000"
SQUARE = "0 0.3 0.3 0.7 0.3 0.7 0.7 0.3 0.7\n"


@contextmanager
def serve_s3(project: Project, _: Path):
    """Add an S3-compatible remote; its credentials are variables of each machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        endpoint = f"http://{host}:{port}"
        names = dict(
            zip(("aws_access_key_id", "aws_secret_access_key", "region_name"), keys.values(), strict=True)
        )
        boto3.client("s3", endpoint_url=endpoint, **names).create_bucket(Bucket="store")
        project.run("dvc remote add --default store s3://store/sweeps")
        project.run(f"dvc remote modify store endpointurl {endpoint}")
        yield Project(project.folder, keys), keys
    finally:
        server.stop()


@contextmanager
def serve_ssh(project: Project, folder: Path):
    """Add a remote by SSH; its password is in DVC's configuration of each machine, which is not in git."""
    loop, started, stopped = asyncio.new_event_loop(), Queue(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve_sftp(started, stopped),))
    thread.start()
    settings = folder / "dvc-settings"
    settings.mkdir()
    (settings / "config").write_text("['remote \"store\"']\n    password = secret\n")
    (folder / "store").mkdir()
    project.run(
        f"dvc remote add --default store ssh://tests@127.0.0.1:{started.get(timeout=30)}{folder}/store"
    )
    variables = {"DVC_GLOBAL_CONFIG_DIR": str(settings)}
    yield Project(project.folder, variables), variables
    loop.call_soon_threadsafe(stopped.set)
    thread.join(10)
    loop.close()


@contextmanager
def serve_folder(project: Project, folder: Path):
    """Add a remote that is a folder."""
    project.run(f"dvc remote add --default store {folder / 'store'}")
    yield project, {}


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(serve_folder, marks=pytest.mark.slow),
        pytest.param(serve_s3, marks=pytest.mark.slow),
        pytest.param(serve_ssh, marks=pytest.mark.slow),
    ],
)
def test_a_job_without_the_disk_gets_code_and_data_and_gives_its_weights_back(
    tiny, tmp_path_factory, monkeypatch, serve
):
    outside = tmp_path_factory.mktemp("outside")
    with serve(tiny, outside) as (project, variables):
        sources.write_yolo_source(project.folder / "images", {f"{number:02d}": SQUARE for number in range(6)})
        publish_project(project, outside)
        job = build_job(0, "data=yolo", "data.source=images", "finetune.lr0=0.02")
        with user_environment(project):
            context = build_context(project)
            publisher = RemotePublisher(context, git_remote="origin", dvc_remote=None, tracking_uri=SERVER)
            source = publisher.publish(job)
            assert publisher.publish(job) == source
        assert project.ran() == ["prepare"]
        (project.folder / "images").rename(outside / "images")
        result, clone = run_on_node(JobRequest(job, context, source=source), outside, variables, monkeypatch)
        assert (result.status, result.score, result.reason) == ("trained", pytest.approx(0.2), None)
        assert (clone / ".finetrack/ran").read_text().split() == ["finetune"]
        with user_environment(project):
            publisher.collect(job)
        project.run(f"git rev-parse --verify refs/exps/{context.baseline[:2]}/{context.baseline[2:]}/try-0")
        project.run("dvc exp apply try-0")
        assert json.loads((project.folder / "models/finetuned/run.json").read_text())["run_id"] == "run-0.02"
        assert project.ran() == []
        if serve is not serve_folder:  # it takes long
            request = JobRequest(replace(job, experiment="try-best"), context, source=source)
            restore_on_another_node(request, tmp_path_factory.mktemp("other"), variables, monkeypatch)


def restore_on_another_node(request, folder: Path, variables, monkeypatch) -> None:
    """Run a job again, as for the evaluation of the winner: all of its results come from the remote."""
    result, clone = run_on_node(request, folder, variables, monkeypatch)
    assert (result.status, result.score) == ("restored", pytest.approx(0.2))
    assert not (clone / ".finetrack/ran").exists()


def publish_project(project: Project, folder: Path) -> None:
    """Commit, and push to a bare repository; a change that is not committed belongs to the sweep, too."""
    project.run(
        f"git add -A . ':!images' && git commit -qm remote && git init -q --bare {folder / 'origin.git'}"
    )
    project.run(f"git remote add origin {folder / 'origin.git'} && git push -q origin HEAD:main")
    project.edit("tiny.py", "lr0 * 10", "lr0 * 10.0")


def run_on_node(request, folder: Path, variables, monkeypatch):
    """Run a job in a process that knows nothing of the project's folder; return its result and its clone."""
    home = folder / "home"
    home.mkdir()
    places = ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")
    own = {f"DVC_{place}_DIR": str(home / place.lower()) for place in places}
    project = Project(home, {**own, "HOME": str(home), **variables})
    with user_environment(project):
        monkeypatch.setenv("FINETRACK_NODE_FOLDER", str(home / "node"))
        node = NodeProcess(
            tuple(NodePlace(str(folder / "nowhere"), "/nowhere", str(folder / "no-marker"), {}))
        )
        assert not node.shares_disk()
        node.start_in_clone(format_request(request), tuple(request.source))
        lines, code = [], None
        while code is None:
            time.sleep(0.1)
            more, code = node.read_lines()
            lines += more
    assert code == 0, node.describe_end()
    (end,) = [event for event in map(parse_event, lines) if isinstance(event, JobEnded)]
    (clone,) = (home / "node").glob("*/*/tiny.py")
    return end.result, clone.parent


def test_what_other_machines_cannot_reach_is_refused_with_one_sentence(tiny):
    def publish(**changes) -> None:
        settings = {"git_remote": "origin", "dvc_remote": None, "tracking_uri": SERVER} | changes
        with user_environment(tiny):
            RemotePublisher(build_context(tiny), **settings)

    with pytest.raises(UserError, match=r"tracking.uri=sqlite:///mlflow.db is a file"):
        publish(tracking_uri="sqlite:///mlflow.db")
    with pytest.raises(UserError, match=r"no default remote.*dvc remote add"):
        publish()
    tiny.run("dvc remote add --default --local secret s3://secret")
    with pytest.raises(UserError, match="no default remote"):
        publish()
    with pytest.raises(UserError, match="no remote secret"):
        publish(dvc_remote="secret")
    tiny.run("dvc remote add store s3://store")
    tiny.commit()
    with pytest.raises(UserError, match=r"git has no remote origin.*sweep.git_remote"):
        publish(dvc_remote="store")
    tiny.run("git remote add origin https://example.org/try.git")
    publish(dvc_remote="store")

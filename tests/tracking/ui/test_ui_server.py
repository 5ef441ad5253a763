"""The MLflow UI: who may ask it, and addresses that cannot be used."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import replace

import pytest

from pipeline.core.errors import UserError
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.target import TrackingTarget
from pipeline.tracking.ui.listen_address import list_names, require_free_port
from pipeline.tracking.ui.ui_server import plan_ui_server

TARGET = TrackingTarget("sqlite:///mlflow.db", "tests")


@pytest.fixture
def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_option(command: tuple[str, ...], name: str) -> list[str]:
    """Return the values of an option of a command."""
    return command[command.index(name) + 1].split(",")


def test_by_default_it_answers_this_machine_alone(free_port):
    server = plan_ui_server(TARGET, "127.0.0.1", free_port)
    assert server.address == f"http://127.0.0.1:{free_port}"
    assert server.others == ()
    assert find_option(server.command, "--host") == ["127.0.0.1"]
    hosts = [f"localhost:{free_port}", f"127.0.0.1:{free_port}"]
    assert find_option(server.command, "--allowed-hosts") == hosts


def test_for_other_machines_it_knows_its_own_names_alone(free_port):
    server = plan_ui_server(TARGET, "0.0.0.0", free_port)
    hosts = find_option(server.command, "--allowed-hosts")
    assert f"{socket.gethostname()}:{free_port}" in hosts
    assert not any("*" in host for host in hosts)
    assert server.others
    assert find_option(server.command, "--cors-allowed-origins") == [f"http://{host}" for host in hosts]


@pytest.mark.slow
@pytest.mark.fault(6, "an experiment is created in the pages of `make ui`")
def test_runs_of_an_experiment_that_was_made_in_the_pages_keep_their_files(fresh, client, free_port):
    send_missed(fresh)
    command = plan_ui_server(fresh, "127.0.0.1", free_port).command
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    pages = subprocess.Popen(command, **quiet)
    try:
        address = f"http://127.0.0.1:{free_port}"
        wait_for_answer(f"{address}/health")
        client.__class__(address).create_experiment("parts")
    finally:
        os.killpg(pages.pid, signal.SIGKILL)
        pages.wait()
    with open_run(replace(fresh, experiment="parts"), key="k1", name="demo", tags={}) as session:
        session.log_text("a", "a.txt")
    assert client.get_run(session.run_id).info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(session.run_id)] == ["a.txt"]
    assert [*(fresh.database.parent / "mlruns").rglob("a.txt")] != []


def wait_for_answer(address):
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the pages do not answer")


def test_files_of_new_experiments_are_in_the_folder_of_the_project(fresh, free_port):
    command = plan_ui_server(fresh, "127.0.0.1", free_port).command
    assert find_option(command, "--default-artifact-root") == [fresh.artifact_root]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_loopback_address_has_no_names_for_others(host):
    assert list_names(host) == ()


def test_a_port_in_use_is_one_sentence(free_port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with pytest.raises(UserError, match=rf"port {free_port} of 127.0.0.1 is in use"):
            require_free_port("127.0.0.1", free_port)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 0, "is no port"),
        ("127.0.0.1", 70000, "is no port"),
        ("198.51.100.1", 5001, "is no address of this machine"),
        ("no-such-host.invalid", 5001, "is not known"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_sentence(host, port, words):
    with pytest.raises(UserError, match=words):
        require_free_port(host, port)


def test_the_pages_of_a_server_are_the_servers_own(free_port):
    with pytest.raises(UserError, match=r"https://mlflow\.example\.org, which has its own pages"):
        plan_ui_server(TrackingTarget("https://mlflow.example.org", "tests"), "127.0.0.1", free_port)

"""The team's MLflow server of deploy/: closed to all but its users, and used by the whole pipeline."""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from pathlib import Path

import pytest

from pipeline.tracking.runs import attach_run, open_run, send_missed
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.champion_history import APPLIED_TAG, ChampionChange, change_champion
from pipeline.tracking.store.registry.registered_model import CHALLENGER, CHAMPION, ensure_registered_model
from pipeline.tracking.store.tracked_runs import RunReader, TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget
from tests.e2e.team_server import (
    DEPLOY,
    TeamServer,
    create_certificates,
    run_program,
)

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def server(team_server) -> TeamServer:
    return team_server


@pytest.fixture(scope="module")
def anna(server):
    """A user who may write the experiment of the team, and its registered model."""
    variables = server.add_user("anna")
    server.run_users("grant", "anna", "--experiment", "team", "--model", "finetrack")
    return variables


@pytest.fixture(scope="module")
def ben(server):
    """A user without any permission."""
    return server.add_user("ben")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder, on a machine that has no login and no keys of the store."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def login(folder, monkeypatch):  # noqa: ARG001 - nothing of this machine's user is read
    """Let the client of this process log in as a user."""

    def set_variables(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def choose_target(server: TeamServer, experiment: str = "team") -> TrackingTarget:
    return TrackingTarget(server.uri, experiment, 60.0)


def log_run(server, folder):
    """Log a run as a stage does; return whether everything has reached the server."""
    (folder / "notes.txt").write_text("hello")
    with open_run(choose_target(server), key=folder.name, name=folder.name, tags={}) as session:
        session.log_params({"lr0": 0.001})
        session.log_metrics({"loss": 0.5}, step=0)
        session.log_artifact(folder / "notes.txt")
    return not [*(folder / ".finetrack/outbox").glob("[!.]*")]


def deliver(server):
    """Send what waits; a busy machine may be too slow for the first try."""
    for _ in range(10):
        if send_missed(choose_target(server)).waiting == 0:
            return
    raise AssertionError("the messages are not accepted")


@pytest.fixture
def run(server, anna, login, tmp_path_factory):
    """A run of anna, which is on the server; she is logged in."""
    login(anna)
    [found] = RunReader(choose_target(server)).search_runs("attributes.run_name = 'shared'") or [None]
    if found is None:
        folder = tmp_path_factory.mktemp("shared") / "shared"
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            log_run(server, folder)
            deliver(server)
        [found] = RunReader(choose_target(server)).search_runs("attributes.run_name = 'shared'")
    return found.run_id


def ask(server, path, *, method="GET", user=None, headers=None, body=None, name="localhost", port=None):
    """Send a request as it is, without a client that mends its path; return status and text."""
    sent = {"Host": name, **(headers or {})}
    if user:
        pair = f"{user['MLFLOW_TRACKING_USERNAME']}:{user['MLFLOW_TRACKING_PASSWORD']}"
        sent["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    if port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    else:
        context = ssl.create_default_context(cafile=str(server.authority))
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=30, context=context)
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def test_a_run_and_its_files_go_through_the_server_alone(server, run, folder):
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    found = client.get_run(run)
    assert found.info.status == "FINISHED"
    assert (found.data.params, found.data.metrics) == ({"lr0": "0.001"}, {"loss": 0.5})
    assert found.info.artifact_uri.startswith("mlflow-artifacts:")
    read = client.download_artifacts(run, "notes.txt", str(folder))
    assert Path(read).read_text() == "hello"
    assert f"artifacts/{found.info.experiment_id}/{run}/artifacts/notes.txt" in server.list_keys()


@pytest.mark.fault(15, "a wrong password, or none")
@pytest.mark.parametrize("password", ["wrong password", ""])
def test_a_wrong_or_absent_password_is_refused_in_one_sentence(server, anna, login, password):
    login(anna | {"MLFLOW_TRACKING_PASSWORD": password})
    with pytest.raises(TrackingUnavailableError) as raised:
        RunReader(choose_target(server)).search_runs()
    assert str(raised.value) == (
        f"MLflow at {server.uri} cannot be read: the server answers 401: it does not know this user and "
        "password (set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
    )


@pytest.mark.fault(15, "a wrong password while a training logs")
def test_messages_wait_for_the_right_password(server, anna, folder, login, capsys):
    login(anna | {"MLFLOW_TRACKING_PASSWORD": "a wrong password"})
    assert not log_run(server, folder)
    assert "the server answers 401" in capsys.readouterr().err
    login(anna)
    deliver(server)
    found, *_ = RunReader(choose_target(server)).search_runs(f"attributes.run_name = '{folder.name}'")
    assert (found.status, found.params) == ("FINISHED", {"lr0": "0.001"})


@pytest.mark.fault(15, "a request without a password")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/version"),
        ("GET", "/metrics"),
        ("GET", "/signup"),
        ("GET", f"{PROXY}?path="),
        ("POST", "/api/2.0/mlflow/users/create"),
        ("POST", "/api/2.0/mlflow/experiments/search"),
        ("POST", "/graphql"),
        ("POST", "/v1/traces"),
    ],
)
def test_nothing_is_answered_without_a_password(server, method, path):
    assert ask(server, path, method=method, body=b"{}" if method == "POST" else None)[0] in {401, 404}


@pytest.mark.fault(15, "the password that earlier versions of MLflow had")
def test_there_is_no_default_password(server):
    assert ask(server, "/", user=server.login("admin", "password1234"))[0] == 401
    assert ask(server, "/", user=server.admin)[0] == 200


@pytest.mark.fault(15, "a foreign Host")
@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1", "localhost.evil.example"])
def test_a_foreign_host_is_refused_by_nginx_and_by_mlflow(server, name):
    assert ask(server, "/", user=server.admin, name=name)[0] == 421
    assert ask(server, "/", user=server.admin, name=name, port=int(server.settings["MLFLOW_PORT"]))[0] == 403


@pytest.mark.fault(15, "another name in the TLS handshake")
def test_a_handshake_for_another_name_is_refused(server):
    context = ssl.create_default_context(cafile=str(server.authority))
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"),
    ):
        context.wrap_socket(plain, server_hostname="evil.example")


@pytest.mark.fault(15, "a foreign Origin")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost", "https://localhost.evil.example"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_foreign_origin_is_refused(server, method, origin):
    headers = {"Origin": origin, "Content-Type": "application/json"}
    path = "/ajax-api/2.0/mlflow/experiments/search"
    assert ask(server, path, method=method, user=server.admin, headers=headers, body=b"{}")[0] == 403


def test_the_pages_of_the_server_may_use_it(server):
    headers = {"Origin": server.uri, "Content-Type": "application/json"}
    path = "/ajax-api/2.0/mlflow/experiments/search"
    body = b'{"max_results": 5}'
    status, text = ask(server, path, method="POST", user=server.admin, headers=headers, body=body)
    assert status == 200, text


@pytest.mark.fault(15, "path traversal in the path of a file")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_paths_that_leave_the_folder_are_refused_by_nginx(server, method):
    for path in (
        "../../escaped.txt",
        "1/../../../escaped.txt",
        "%2e%2e/%2e%2e/escaped.txt",
        "..%2f..%2fescaped.txt",
        "..%5cescaped.txt",
        "1/..",
        "?path=../..",
        "?path=..%2f..",
        "?path=a%2F%2E%2E",
    ):
        status, _ = ask(server, f"{PROXY}/{path}", method=method, user=server.admin)
        assert (path, status) == (path, 400)


@pytest.mark.fault(15, "path traversal that nginx does not see")
@pytest.mark.parametrize(
    "path", ["%252e%252e%252fescaped.txt", "%252e%252e/escaped.txt", "file:%2F%2F/etc/passwd"]
)
def test_paths_that_leave_the_folder_are_refused_by_mlflow(server, path):
    before = server.list_keys()
    for method in ("GET", "PUT"):
        status, text = ask(server, f"{PROXY}/{path}", method=method, user=server.admin, body=b"escaped")
        assert 400 <= status < 500, text
    port = int(server.settings["MLFLOW_PORT"])
    status, text = ask(
        server, f"{PROXY}/../../escaped.txt", method="PUT", user=server.admin, body=b"a", port=port
    )
    assert 400 <= status < 500, text
    assert server.list_keys() == before


@pytest.mark.fault(15, "a signed address of the store behind the server")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/2.0/mlflow-artifacts/presigned/1/notes.txt"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/notes.txt"),
        ("POST", "/ajax-api/2.0/mlflow-artifacts/mpu/create/1/notes.txt"),
        ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
        ("POST", "/api/2.0/mlflow/artifacts/presigned-download-url"),
        ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
    ],
)
def test_the_store_is_not_reached_around_the_server(server, method, path):
    assert ask(server, path, method=method, user=server.admin, body=b"{}")[0] == 403


def test_no_client_is_told_to_go_around_the_server(server):
    assert ask(server, "/api/3.0/mlflow/server-info")[0] == 404


@pytest.mark.fault(15, "a request larger than any of MLflow's")
def test_a_request_that_is_too_large_is_refused(server):
    body = b"0" * 11_000_000
    path = "/api/2.0/mlflow/runs/log-batch"
    try:
        status = ask(server, path, method="POST", user=server.admin, body=body)[0]
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):  # nginx closes after its answer
        status = 413
    assert status == 413


@pytest.mark.fault(15, "a user without a permission")
def test_a_user_neither_reads_nor_writes_what_another_user_has(server, run, ben, folder, login):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(server.uri)
    experiment = client.get_run(run).info.experiment_id
    client.create_registered_model("of-anna")
    (folder / "notes.txt").write_text("changed")
    login(ben)
    other = MlflowClient(server.uri)
    for act in (
        lambda: other.get_run(run),
        lambda: other.get_experiment_by_name("team"),
        lambda: other.log_metric(run, "loss", 9.0),
        lambda: other.set_tag(run, "mlflow.note.content", "changed"),
        lambda: other.delete_run(run),
        lambda: other.create_run(experiment),
        lambda: other.list_artifacts(run),
        lambda: other.download_artifacts(run, "notes.txt", str(folder)),
        lambda: other.log_artifact(run, str(folder / "notes.txt")),
        lambda: other.get_registered_model("of-anna"),
        lambda: other.set_registered_model_alias("of-anna", "champion", "1"),
    ):
        with pytest.raises((MlflowException, OSError)) as raised:
            act()
        assert "403" in str(raised.value) or "PERMISSION_DENIED" in str(raised.value), raised.value
    assert [found.info.run_id for found in other.search_runs([experiment])] == []
    assert experiment not in [found.experiment_id for found in other.search_experiments()]
    with pytest.raises(TrackingUnavailableError, match="ask the server's administrator for a permission"):
        RunReader(choose_target(server)).search_runs()


def test_a_run_that_does_not_exist_is_absent_and_not_forbidden(server, run, folder):
    """MLflow answers 403 for it, too: the messages of a run that was deleted for good would wait forever."""
    reader = RunReader(choose_target(server))
    assert reader.get_run("0" * 32) is None
    with attach_run(choose_target(server), key="another", run_id="0" * 32) as session:
        session.log_metrics({"test": 0.5})
    deliver(server)
    assert {found.run_id for found in reader.search_runs()} > {run}
    assert not [*(folder / ".finetrack/outbox").glob("[!.]*")]


@pytest.mark.fault(15, "a user who may only read")
def test_a_user_who_may_read_does_not_write(server, run, login):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    reader = server.add_user("clara")
    server.run_users("grant", "clara", "--experiment", "team", "--permission", "READ")
    login(reader)
    assert RunReader(choose_target(server)).get_run(run) is not None
    with pytest.raises(MlflowException):
        MlflowClient(server.uri).log_metric(run, "loss", 9.0)


@pytest.mark.fault(15, "a user who may change a registered model, and not delete its aliases")
def test_a_member_promotes_and_is_told_which_alias_stays(server, run, anna, login, capsys):
    login(server.admin)
    store = MlflowClientCache(choose_target(server))
    ensure_registered_model(store, "parts")
    store.client.create_model_version("parts", f"runs:/{run}/notes.txt", run)
    store.client.set_registered_model_alias("parts", CHALLENGER, "1")
    server.run_users("grant", "anna", "--model", "parts")
    login(anna)
    store = MlflowClientCache(choose_target(server))
    change_champion(store, "parts", ChampionChange("promote", "1", None), expected=None)
    model = store.client.get_registered_model("parts")
    assert {name: str(version) for name, version in model.aliases.items()} == {CHALLENGER: "1", CHAMPION: "1"}
    assert model.tags[APPLIED_TAG] == "1"
    assert "MANAGE on the registered model" in capsys.readouterr().err


@pytest.mark.fault(15, "a certificate of an unknown authority")
def test_a_wrong_certificate_is_one_sentence(server, anna, folder, login):
    create_certificates(folder, "other.pem")
    login(anna | {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(folder / "other.pem")})
    with pytest.raises(TrackingUnavailableError) as raised:
        RunReader(choose_target(server)).search_runs()
    said = str(raised.value)
    assert "certificate is not accepted" in said
    assert "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of the authority" in said
    assert len(said) < 300


@pytest.mark.fault(15, "a certificate's file that is absent, and an address without TLS")
def test_other_faults_of_tls_are_one_sentence(server, anna, folder, login):
    login(anna | {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(folder / "absent.pem")})
    with pytest.raises(TrackingUnavailableError) as raised:
        RunReader(choose_target(server)).search_runs()
    assert str(raised.value).endswith(f"MLFLOW_TRACKING_SERVER_CERT_PATH names no file: {folder}/absent.pem")
    login(anna)
    plain = TrackingTarget(f"https://localhost:{server.settings['MLFLOW_PORT']}", "team", 20.0)
    with pytest.raises(TrackingUnavailableError, match="no encrypted connection"):
        RunReader(plain).search_runs()


def test_a_server_without_its_settings_does_not_start(server):
    for name in ("FINETRACK_SERVER_NAME", "MLFLOW_FLASK_SERVER_SECRET_KEY", "PGUSER"):
        settings = server.environment | {name: ""}
        said = run_program([DEPLOY / "mlflow-server.sh"], settings, fails=True)
        assert f"{name} is not set" in said

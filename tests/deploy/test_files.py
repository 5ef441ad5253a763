"""The files of deploy/ agree with each other, and hold no password."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.team_server import read_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = read_settings(DEPLOY / "server.env.example")
SECRETS = {
    "PGPASSWORD",
    "POSTGRES_ADMIN_PASSWORD",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
}
"""Random ones, which create-secrets.sh fills in."""
STORE_KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNITS = sorted((DEPLOY / "systemd").iterdir())


def read(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def run(name: str, *words: object, environment=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEPLOY / name, *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )


def test_no_file_has_a_password():
    assert {name for name, value in EXAMPLE.items() if not value} == SECRETS | STORE_KEYS
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            found = re.findall(
                r"(?m)^\s*\w*(?:password|secret|_key)\w* *[=:] *([^\s$#{|].*)$", path.read_text(), re.I
            )
            assert [value for value in found if "/" not in value and "secrets." not in value] == [], path


def test_new_secrets_are_random_and_for_their_owner_alone(tmp_path):
    for name in ("first.env", "second.env"):
        assert run("create-secrets.sh", tmp_path / name).returncode == 0
    assert stat.S_IMODE((tmp_path / "first.env").stat().st_mode) == 0o600
    first, second = (read_settings(tmp_path / name) for name in ("first.env", "second.env"))
    assert list(first) == list(EXAMPLE)
    made = [values[name] for values in (first, second) for name in SECRETS]
    assert len(set(made)) == len(made)
    assert min(map(len, made)) >= 32
    assert {name for name in EXAMPLE if first[name] != EXAMPLE[name]} == SECRETS


def test_secrets_in_use_are_not_replaced(tmp_path):
    (tmp_path / "server.env").write_text("PGPASSWORD=in-use\n")
    done = run("create-secrets.sh", tmp_path / "server.env")
    assert done.returncode != 0
    assert "exists" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["server.env"]
    assert (tmp_path / "server.env").read_text() == "PGPASSWORD=in-use\n"


def test_every_setting_of_the_example_is_used_and_every_used_one_is_in_it():
    shell = "".join(read(name) for name in ("mlflow-server.sh", "render-nginx.sh", "create-databases.sh"))
    known = {"PGHOST", "PGPORT", "MLFLOW_S3_ENDPOINT_URL", "AWS_DEFAULT_REGION", *STORE_KEYS}  # of libraries
    named = {name for name in EXAMPLE if re.search(rf"\b{name}\b", shell)} | known
    assert set(EXAMPLE) - named - {"POSTGRES_ADMIN_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD"} == set()
    assert set(re.findall(r"\$\{(\w+)", read("compose.yaml"))) == set(EXAMPLE) - {
        "MLFLOW_HOST",
        "MLFLOW_PORT",
        "PGHOST",
        "PGPORT",
    }


def test_mlflow_starts_with_users_and_permissions_and_files_through_it_alone():
    script = read("mlflow-server.sh")
    assert "--app-name basic-auth" in script
    assert "--serve-artifacts" in script
    assert "disable-security-middleware" not in script
    assert "default-artifact-root" not in script
    users = configparser.ConfigParser()
    users.read_string(read("basic-auth.ini"))
    assert users["mlflow"]["default_permission"] == "NO_PERMISSIONS"
    assert "admin_password" not in users["mlflow"]


def test_the_databases_have_the_same_names_everywhere():
    created = set(re.findall(r"CREATE DATABASE (\w+)", read("create-databases.sh")))
    users = configparser.ConfigParser()
    users.read_string(read("basic-auth.ini"))
    runs = re.findall(r"MLFLOW_BACKEND_STORE_URI=(\S+)", read("mlflow-server.sh"))
    assert created == {uri.rpartition("/")[2] for uri in [*runs, users["mlflow"]["database_uri"]]}
    assert f"DATABASES = {tuple(sorted(created))!r}".replace("'", '"') in read("backup.py")


def test_the_sql_names_the_role_and_its_password():
    sql = run("create-databases.sh", environment={"PGUSER": "runs", "PGPASSWORD": "random"}).stdout
    assert "ALTER ROLE \"runs\" PASSWORD 'random';" in sql
    assert sql.count('OWNER "runs"') == 2
    assert run("create-databases.sh", environment={"PGUSER": "runs", "PATH": os.environ["PATH"]}).returncode


def test_nginx_is_rendered_completely_or_not_at_all():
    values = {name: f"value-of-{name}" for name in EXAMPLE}
    done = run("render-nginx.sh", environment=values | {"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    assert "${" not in done.stdout
    assert "proxy_pass http://value-of-MLFLOW_HOST:value-of-MLFLOW_PORT;" in done.stdout
    left_out = values | {"FINETRACK_TLS_KEY": "", "PATH": os.environ["PATH"]}
    done = run("render-nginx.sh", environment=left_out)
    assert (done.returncode, done.stdout) == (1, "")
    assert "FINETRACK_TLS_KEY is not set" in done.stderr


def test_with_docker_nginx_alone_has_a_port():
    services = COMPOSE["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["database"] == {"internal": True}
    assert services["postgres"]["networks"] == ["database"]
    assert "database" not in services["nginx"]["networks"]
    for service in services.values():
        assert not service.get("privileged")
        assert re.fullmatch(r"\w+:[\d.]+", service.get("image", "built:1"))


def test_docker_gets_the_variables_of_the_template_and_the_script():
    services = COMPOSE["services"]
    named = set(re.findall(r"\$\{(\w+)\}", read("nginx.conf.template")))
    assert named <= set(services["nginx"]["environment"])
    wanted = re.search(r"for name in (.*?); do", read("mlflow-server.sh").replace("\\\n", ""))
    assert wanted
    assert set(wanted[1].split()) <= set(services["mlflow"]["environment"])
    port = services["mlflow"]["environment"]["MLFLOW_PORT"]
    assert services["nginx"]["environment"]["FINETRACK_MLFLOW_ADDRESS"] == f"mlflow:{port}"
    assert EXAMPLE["MLFLOW_PORT"] == port
    assert f"${{MLFLOW_PORT:-{port}}}" in read("mlflow-server.sh")


def test_a_folder_of_files_outlives_its_container():
    [volume] = COMPOSE["services"]["mlflow"]["volumes"]
    name, folder = volume.split(":")
    assert name in COMPOSE["volumes"]
    assert f"install -d -o mlflow -m 700 {folder}" in read("Dockerfile")
    assert f"or the folder {folder}." in read("server.env.example")


def test_docker_finds_every_file():
    volumes = [volume for service in COMPOSE["services"].values() for volume in service.get("volumes", [])]
    mounted = [volume.split(":")[0] for volume in volumes if volume.startswith("./")]
    assert mounted
    copied = re.findall(r"^COPY (.*) \S+$", read("Dockerfile"), re.MULTILINE)
    paths = [DEPLOY / path for path in mounted] + [
        DEPLOY.parent / word for line in copied for word in line.split()
    ]
    assert [path for path in paths if not path.is_file()] == []
    assert "--require-hashes -r deploy/requirements.lock" in read("Dockerfile")
    assert "USER mlflow" in read("Dockerfile")


def test_a_backup_that_fails_is_a_sentence(tmp_path):
    """Here: a folder that cannot be made."""
    (tmp_path / "file").touch()
    environment = {"PATH": str(tmp_path), "MLFLOW_ARTIFACTS_DESTINATION": str(tmp_path / "files")}
    command = [sys.executable, DEPLOY / "backup.py", "save", tmp_path / "file/backup"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("backup.py: save is not complete, run it again: NotADirectoryError")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_names_files_that_exist(unit):
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str
    parsed.read(unit)
    if unit.suffix == ".timer":
        assert unit.with_suffix(".service") in UNITS
        assert parsed["Timer"]["OnCalendar"]
        return
    service = parsed["Service"]
    assert (service["User"], service["NoNewPrivileges"]) == ("mlflow", "true")
    assert service["EnvironmentFile"] == "/etc/finetrack/server.env"
    files = re.findall(r"/opt/finetrack/(deploy/\S+)", service["ExecStart"])
    assert files
    assert [name for name in files if not (DEPLOY.parent / name).is_file()] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_reads_the_units():
    done = subprocess.run(["systemd-analyze", "verify", *UNITS], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert [line for line in said if "is not executable: No such file" not in line] == []


def test_the_lock_has_hashes_and_the_versions_of_the_pipeline():
    def read_versions(text: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))

    own = read_versions(read("requirements.lock"))
    other = read_versions((DEPLOY.parent / "requirements.lock").read_text())
    assert {"mlflow", "psycopg", "psycopg-binary", "boto3", "flask-wtf", "uvicorn"} <= set(own)
    assert {name: version for name, version in own.items() if other.get(name, version) != version} == {}
    blocks = re.split(r"(?m)^(?=\S)", read("requirements.lock"))
    assert [block for block in blocks if "==" in block and "--hash=sha256:" not in block] == []
    assert "torch" not in own
    assert not re.search(r"index-url|https?://", read("requirements.lock"))


def test_the_page_names_every_file():
    pages = "".join(page.read_text("utf-8") for page in (DEPLOY.parent / "docs/how-to").glob("*.md"))
    files = [path.name for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [name for name in files if name not in pages] == []

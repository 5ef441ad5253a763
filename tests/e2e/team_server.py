"""The team's MLflow server of deploy/, started for real: PostgreSQL, an S3-compatible store, MLflow, nginx.

All settings come from deploy/server.env.example by deploy/create-secrets.sh; only ports, paths and keys of
this machine are set. What is tested is what is shipped.
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sweep.study.postgres import explain_missing_server, start_postgres
from tests.tracking.servers import find_free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BUCKET = "mlflow"
NGINX = """
daemon off;
worker_processes 1;
error_log {folder}/nginx-error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/nginx-access.log;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    include {folder}/finetrack.conf;
}}
"""


def explain_missing_programs() -> str | None:
    """Return why the server cannot be started here; None if it can."""
    if find_nginx() is None:
        return "there is no nginx: install the package nginx-light"
    return explain_missing_server() or (None if shutil.which("psql") else "there is no psql")


def find_nginx() -> str | None:
    """Return the path of nginx, which Debian keeps away from users' paths."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@dataclass
class TeamServer:
    """The server, and what its administrator can do.

    Args:
        folder: Of its files: settings, certificates, logs.
        settings: The variables of server.env.
        postgres: The address of PostgreSQL's administrator.
        postgres_password: The password of PostgreSQL's administrator.
    """

    folder: Path
    settings: dict[str, str]
    postgres: str
    postgres_password: str
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.settings["FINETRACK_SERVER_PORT"])

    @property
    def uri(self) -> str:
        """For `tracking.uri`."""
        return f"https://localhost:{self.port}"

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed the server's one."""
        return self.folder / "authority.pem"

    @property
    def environment(self) -> dict[str, str]:
        """Of a process on the server: its settings, and nothing of this machine's user."""
        own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder)}
        return own | self.settings

    @property
    def admin(self) -> dict[str, str]:
        """The variables of the administrator's client."""
        return self.login("admin", self.settings["MLFLOW_AUTH_ADMIN_PASSWORD"])

    def login(self, user: str, password: str) -> dict[str, str]:
        """Return the variables of a user's client."""
        return {
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.authority),
        }

    def add_user(self, name: str) -> dict[str, str]:
        """Create a user as the documentation says; return the variables of their client."""
        *_, password = self.run_users("add", name).split()
        return self.login(name, password)

    def run_users(self, *words: str) -> str:
        """Run deploy/users.py as the administrator, and return what it prints."""
        own = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": self.uri, "HOME": str(self.folder)}
        return run_program([sys.executable, DEPLOY / "users.py", *words], own | self.admin)

    def run(self, command: str, *, fails: bool = False, **variables: str) -> str:
        """Run a command line on the server, in the project's folder, and return what it wrote."""
        return run_program(["sh", "-c", command], self.environment | variables, fails=fails)

    def query_postgres(self, statements: str) -> str:
        """Let PostgreSQL's administrator run SQL."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.postgres]
        return run_program(command, os.environ | {"PGPASSWORD": self.postgres_password}, given=statements)

    def start_mlflow(self) -> None:
        """Start MLflow as systemd does, and wait until it answers."""
        with (self.folder / "mlflow.log").open("ab") as log:
            self.processes["mlflow"] = subprocess.Popen(
                [DEPLOY / "mlflow-server.sh"],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait(f"http://127.0.0.1:{self.settings['MLFLOW_PORT']}/health", "mlflow", 120)

    def start_nginx(self) -> None:
        """Start nginx with the rendered template."""
        (self.folder / "finetrack.conf").write_text(
            run_program([DEPLOY / "render-nginx.sh"], self.environment)
        )
        settings = self.folder / "nginx.conf"
        settings.write_text(NGINX.format(folder=self.folder))
        command = [str(find_nginx()), "-p", str(self.folder), "-e", f"{self.folder}/nginx-start.log"]
        self.processes["nginx"] = subprocess.Popen([*command, "-c", str(settings)], start_new_session=True)

    def stop(self, name: str) -> None:
        """Stop a process of the server, and its workers, if it runs."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(3)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def open_bucket(self) -> Any:
        """Return a client of the S3-compatible store, which only the server uses."""
        import boto3

        names = {
            "aws_access_key_id": self.settings["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.settings["AWS_SECRET_ACCESS_KEY"],
            "region_name": self.settings["AWS_DEFAULT_REGION"],
        }
        return boto3.client("s3", endpoint_url=self.settings["MLFLOW_S3_ENDPOINT_URL"], **names)

    def list_keys(self) -> list[str]:
        """List what is in the bucket."""
        pages = self.open_bucket().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _wait(self, url: str, name: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            with suppress(OSError):
                urllib.request.urlopen(url, timeout=1).close()
                return
            if self.processes[name].poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} does not start:\n{(self.folder / f'{name}.log').read_text()}")
            time.sleep(0.1)


@contextmanager
def start_team_server() -> Iterator[TeamServer]:
    """Start everything in an empty folder, and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="team-"))
    folder.chmod(0o755)  # nginx's workers run as another user
    try:
        with ExitStack() as stack:
            administrator = os.urandom(12).hex()
            postgres = stack.enter_context(start_postgres(administrator))
            endpoint = stack.enter_context(start_bucket())
            settings = create_settings(folder, postgres.address, endpoint)
            server = TeamServer(folder, settings, postgres.address, administrator)
            create_certificates(folder)
            server.query_postgres(run_program([DEPLOY / "create-databases.sh"], server.environment))
            server.start_nginx()
            stack.callback(server.stop, "nginx")
            server.start_mlflow()
            stack.callback(server.stop, "mlflow")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def start_bucket() -> Iterator[str]:
    """Start an S3-compatible store with one bucket; yield its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs each request
    store = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    store.start()
    try:
        host, port = store.get_host_and_port()
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket=BUCKET)
        yield f"http://{host}:{port}"
    finally:
        store.stop()


def create_settings(folder: Path, postgres: str, endpoint: str) -> dict[str, str]:
    """Create server.env as the documentation says; return its variables."""
    file = folder / "server.env"
    run_program([DEPLOY / "create-secrets.sh", file], os.environ)
    settings = read_settings(file) | {
        "FINETRACK_SERVER_NAME": "localhost",
        "FINETRACK_SERVER_PORT": str(find_free_port()),
        "FINETRACK_TLS_CERTIFICATE": f"{folder}/certificate.pem",
        "FINETRACK_TLS_KEY": f"{folder}/key.pem",
        "MLFLOW_PORT": str(find_free_port()),
        "MLFLOW_WORKERS": "1",  # several take longer to start
        "PGPORT": postgres.rpartition(":")[2].partition("/")[0],
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": os.urandom(10).hex(),
        "AWS_SECRET_ACCESS_KEY": os.urandom(20).hex(),
    }
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return settings


def read_settings(file: Path) -> dict[str, str]:
    """Read KEY=VALUE lines."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def create_certificates(folder: Path, authority: str = "authority.pem") -> None:
    """Create an authority, and a certificate of it for localhost.

    Args:
        folder: For certificate.pem and key.pem.
        authority: The file of the authority's certificate there.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, key: Any, issuer: str) -> x509.CertificateBuilder:
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, issuer)]
        valid = now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        return builder.not_valid_before(valid[0]).not_valid_after(valid[1])

    own, signing = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = build("team", signing, "team").add_extension(x509.BasicConstraints(True, None), True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(signing.public_key()), False)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    root = root.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), True
    )
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = build("localhost", own, "team").add_extension(x509.SubjectAlternativeName(hosts), False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False)
    text = serialization.Encoding.PEM
    (folder / authority).write_bytes(root.sign(signing, hashes.SHA256()).public_bytes(text))
    (folder / "certificate.pem").write_bytes(leaf.sign(signing, hashes.SHA256()).public_bytes(text))
    secret = own.private_bytes(text, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)


def run_program(
    command: list[Any], environment: Mapping[str, str], *, given: str | None = None, fails: bool = False
) -> str:
    """Run a program in the project's folder; return its standard output, or all that it wrote if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(environment),
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, f"$ {command} -> {done.returncode}\n{output}"
    return output if fails else done.stdout

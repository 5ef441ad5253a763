"""A server with a wrong certificate or password: trainings go on, one sentence says why, nothing leaks."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from base64 import b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.core.errors import UserError
from pipeline.tracking.delivery_report import require_delivery
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.store.tracked_runs import RunReader, TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget
from tests.tracking.servers import FaultyProxy

PASSWORD = "the-secret-word"
NOW = datetime.datetime.now(datetime.UTC)


class TrustedProxy(FaultyProxy):
    """Speaks TLS with a certificate, and wants a password; keeps what it was sent.

    Args:
        server: The server behind it.
        certificate: A file with certificate and key; None for HTTP.
        password: Of the user `me`; None for none.
    """

    def __init__(self, server, *, certificate=None, password=None) -> None:
        super().__init__(server)
        self.listener.handle_error = lambda *_: None
        self.sent, self.wanted = [], password and encode_password(password)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
            self.uri = self.uri.replace("http:", "https:")

    def ask(self, request, body):
        """Answer 401 without the password."""
        self.sent.append(request.headers.get("Authorization", ""))
        if self.wanted and self.sent[-1] != self.wanted:
            return 401, {"Content-Type": "text/html"}, b"<h1>Who are you?</h1>"
        return super().ask(request, body)


def encode_password(password):
    """Return the header of the user `me`."""
    return f"Basic {b64encode(f'me:{password}'.encode()).decode()}"


def write_certificate(folder, *, name="127.0.0.1", days=1):
    """Write a certificate that signs itself, valid for so many days from now, or expired; return its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    address = x509.IPAddress(ipaddress.ip_address(name))
    until = NOW + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - datetime.timedelta(days=10))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    file = folder / f"{name}-{days}.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


def train(target, key):
    """Log a run of a few steps; return the run's id."""
    with open_run(target, key=key, name="demo", tags={}) as session:
        for step in range(3):
            session.log_metrics({"loss": step / 10}, step=step)
    return session.run_id


def check_nothing_leaks(project, said):
    assert "Traceback" not in said
    assert PASSWORD not in said
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in path.read_bytes() for path in files)


CERTIFICATES = {
    "self-signed": ({}, "self-signed"),
    "of another host": ({"name": "127.0.0.2"}, "IP address mismatch"),
    "expired": ({"days": -1}, "expired"),
}


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] if kind != "self-signed" else []) for kind in CERTIFICATES],
)
@pytest.mark.fault(15, "a server with a wrong certificate")
def test_nothing_is_sent_to_a_server_whose_certificate_is_wrong(server, project, monkeypatch, capfd, kind):
    server.start()
    options, word = CERTIFICATES[kind]
    certificate = write_certificate(project.parent, **options)
    if kind != "self-signed":
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    proxy = TrustedProxy(server, certificate=certificate)
    target = TrackingTarget(proxy.uri, f"certificate {kind}", 5.0)
    assert train(target, "k1") is None
    said = capfd.readouterr().err
    assert "the server's certificate is not accepted: " in said
    assert word in said
    assert ("MLFLOW_TRACKING_SERVER_CERT_PATH" in said) == (kind == "self-signed")
    report = send_missed(target)
    assert report.waiting == 1
    with pytest.raises(UserError, match="certificate is not accepted"):
        require_delivery(report, target.uri)
    with pytest.raises(TrackingUnavailableError, match="certificate is not accepted"):
        list(RunReader(target).search_runs(""))
    assert proxy.sent == []
    check_nothing_leaks(project, said)
    if kind == "self-signed":
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        assert send_missed(target).waiting == 0
    proxy.close()


@pytest.mark.usefixtures("password")
@pytest.mark.fault(15, "a wrong password")
def test_a_wrong_password_is_named_and_the_right_one_sends_what_waits(server, project, capfd):
    server.start()
    proxy = TrustedProxy(server, password="another")
    target = TrackingTarget(proxy.uri, "password", 5.0)
    assert train(target, "k1") is None
    said = capfd.readouterr().err
    assert "the server answers 401: Who are you?" in said
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in said
    assert send_missed(target).waiting == 1
    check_nothing_leaks(project, said)
    proxy.wanted = encode_password(PASSWORD)
    assert send_missed(target).waiting == 0
    proxy.close()

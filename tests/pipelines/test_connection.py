"""The way to a Kubeflow behind a gateway: its own certificate, a session, a proxy, an answer that never ends."""

from __future__ import annotations

import ipaddress
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines import connection
from tests.pipelines.command_line import pipelines
from tests.pipelines.kubeflow import NAMESPACE, kubeflow

SESSION = "authservice_session=MTYwNDU2; theme=dark"
LIST = ("list", "--namespace", NAMESPACE)
WHERE = ("--namespace", NAMESPACE, "-S", "datasets.digits.profile=course")
DIGEST = "pipelines.image=registry.example/labs@sha256:" + "0" * 64


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The certificate of an authority of one's own, and, with its key, one of 127.0.0.1 that it has signed."""
    folder, now = tmp_path_factory.mktemp("certificates"), datetime.now(UTC)
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def made(subject: str, public: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(name("authority"), name(subject), public, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256())

    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    authority = made("authority", signer.public_key(), x509.BasicConstraints(ca=True, path_length=None))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "authority.pem").write_bytes(pem(authority))
    (folder / "gateway.pem").write_bytes(pem(made("gateway", key.public_key(), here)) + secret)
    return folder / "authority.pem", folder / "gateway.pem"


def test_a_gateway_with_a_certificate_of_its_own_authority_is_trusted_once_that_is_named(
    certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, gateway = certificates
    with kubeflow(certificate=gateway) as state:
        done = pipelines(*LIST, "--host", state.host)
        assert (done.returncode, state.requests) == (2, [])
        assert done.stderr == (
            f"error: Kubeflow at {state.host} is not trusted: name who signs its certificate with --ca-cert, or "
            "KUBEFLOW_CA_CERT\n"
        )
        for file, said in (
            (gateway.with_name("none.pem"), "cannot be read"),
            (Path(__file__), "holds no certificates"),
        ):
            done = pipelines(*LIST, "--host", state.host, "--ca-cert", str(file))
            assert (done.returncode, done.stderr.count("\n"), said in done.stderr) == (2, 1, True)

        done = pipelines("submit", "mlp", *WHERE, "--host", state.host, "--ca-cert", str(authority))
        assert (done.returncode, len(state.runs)) == (0, 1), done.stderr
        monkeypatch.setenv("KUBEFLOW_CA_CERT", str(authority))
        pin = ("--pin", "https://git.example/data.dvc", "-S", DIGEST)
        done = pipelines("schedule", "mlp", *WHERE, "--host", state.host, *pin)
        assert (done.returncode, len(state.recurring)) == (0, 1), done.stderr


def test_a_gateway_with_a_login_lets_the_cookie_of_a_session_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with kubeflow() as state:
        state.cookie = SESSION
        done = pipelines(*LIST, "--host", state.host, token="")
        assert done.returncode == 2
        assert "answers with a page" in done.stderr
        assert "KUBEFLOW_COOKIE" in done.stderr
        monkeypatch.setenv("KUBEFLOW_COOKIE", SESSION)
        done = pipelines("submit", "mlp", *WHERE, "--host", state.host, token="")
        assert (done.returncode, len(state.runs)) == (0, 1), done.stderr


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy for HTTP, and the addresses that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            request = urllib.request.Request(self.path, body, dict(self.headers), method=self.command)  # noqa: S310
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request) as answer:
                content, status, kind = answer.read(), answer.status, answer.headers["Content-Type"]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_every_request_goes_through_the_proxy_that_the_surroundings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with kubeflow() as state, proxy() as (address, asked):
        monkeypatch.setenv("http_proxy", address)
        assert pipelines("submit", "mlp", *WHERE, "--host", state.host).returncode == 0
        assert len(asked) == len(state.requests) > 3
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        before = len(asked)
        assert pipelines(*LIST, "--host", state.host).returncode == 0
        assert len(asked) == before


def test_a_client_waits_no_longer_for_an_answer_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubeflow's own client would wait for ever at a server that takes a request and is silent."""
    import kfp
    from urllib3.exceptions import HTTPError

    monkeypatch.setattr(connection, "SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = kfp.Client(host=f"http://127.0.0.1:{silent.getsockname()[1]}", namespace=NAMESPACE)
        connection._limit(client)
        with pytest.raises(HTTPError):
            client.list_experiments(page_size=1, namespace=NAMESPACE)

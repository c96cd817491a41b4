"""The way to MLflow: a client with short patience, and every failure as one line that names the server."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from components.deferred_imports import without_garbage_collection
from components.errors import UserError, one_line
from components.settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
SERVERS = ("postgresql", "mysql", "mssql")
"""Databases with a server that MLflow can write to without one of its own."""
TIMEOUT = 30
RETRIES = 2
"""Seconds and repetitions of a request to the server; MLflow's own are 120 and 7."""


class MlflowError(UserError):
    """MLflow can't be reached, or refused."""


def database(uri: str) -> Path | None:
    """The file of an embedded database, None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def check_reachable() -> None:
    """Raises MlflowError within seconds when runs could not be recorded. Does not load MLflow."""
    uri = settings().mlflow_tracking_uri
    file = database(uri)
    try:
        if file is not None:
            _check_database(file)
        elif uri.startswith(("http://", "https://")):
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=TIMEOUT).close()  # noqa: S310 - scheme checked
        elif uri.startswith(SERVERS):
            _check_server(uri)
        elif not uri.startswith("databricks"):
            raise OSError("not an address that MLflow knows; take sqlite:///mlflow.db or http://host:port")
    except urllib.error.HTTPError as error:
        if error.code >= 500:  # a proxy without its server, or a server without its database
            raise unreachable(error) from None
        return  # it answers; whether it lets us in, the first request tells
    except (OSError, ValueError, sqlite3.DatabaseError) as error:
        raise unreachable(error) from None


def connect() -> MlflowClient:
    """A client of the tracking server and registry. Takes about two seconds the first time in a process."""
    check_reachable()
    with failures_named():
        with without_garbage_collection() if "mlflow" not in sys.modules else nullcontext():
            from mlflow import MlflowClient, environment_variables

        for variable, value in (
            (environment_variables.MLFLOW_HTTP_REQUEST_TIMEOUT, TIMEOUT),
            (environment_variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES, RETRIES),
            (environment_variables.MLFLOW_DISABLE_TELEMETRY, True),
            (environment_variables.MLFLOW_ALLOW_PICKLE_DESERIALIZATION, False),
            (environment_variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR, False),
            # Files go through the server. It offers presigned addresses of its store, whose name only the server's own
            # neighbours can resolve and reach.
            (environment_variables.MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD, False),
            (environment_variables.MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD, False),
        ):
            if not variable.is_set():  # type: ignore[no-untyped-call]
                variable.set(value)  # type: ignore[no-untyped-call]
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces every table of a new database
        return MlflowClient(settings().mlflow_tracking_uri)


@contextmanager
def failures_named() -> Iterator[None]:
    """Turns what MLflow raises into MlflowError. Raises UserError where MLflow is needed and not installed.

    It does not import MLflow: what has not been imported has raised nothing.
    """
    try:
        yield
    except UserError:
        raise
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        raise UserError("mlflow is not installed here: pip install mlflow, or name a bundle's folder instead") from None
    except Exception as error:
        raised = getattr(sys.modules.get("mlflow.exceptions"), "MlflowException", OSError)
        if not isinstance(error, (raised, OSError)):
            raise
        raise unreachable(error) from error


def _check_database(file: Path) -> None:
    if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise OSError("cannot be written")
    if file.exists():
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA schema_version")


def _check_server(uri: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        create_engine(uri).connect().close()
    except (SQLAlchemyError, ImportError) as error:  # ImportError: its driver is not installed
        raise OSError(str(error).splitlines()[0]) from None


def unreachable(error: Exception) -> MlflowError:
    """An error as one line that names the server."""
    words = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
    return MlflowError(
        f"MLflow at {settings().mlflow_tracking_uri}: {one_line(words)}; set MLFLOW_TRACKING_URI or mend it"
    )

"""Starts the MLflow server: refuses secrets that nobody has chosen, prepares its databases, then becomes the server.

Everything comes from the environment, so that no secret is on a command line. MLflow's own names, and AUTH_DATABASE_URI
for the database of users:

MLFLOW_BACKEND_STORE_URI, AUTH_DATABASE_URI  postgresql://user:password@host/name; two databases
MLFLOW_ARTIFACTS_DESTINATION     s3://bucket/path; AWS_* and MLFLOW_S3_ENDPOINT_URL say how to get there
MLFLOW_AUTH_ADMIN_USERNAME, MLFLOW_AUTH_ADMIN_PASSWORD   the first user, made when there is none
MLFLOW_FLASK_SERVER_SECRET_KEY   signs forms; the same on every replica
MLFLOW_SERVER_ALLOWED_HOSTS      names and addresses by which the server may be asked, each with its port
MLFLOW_HOST, MLFLOW_PORT, MLFLOW_WORKERS   where it listens, and processes that answer

`--prepare` stops before the server starts.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PLACEHOLDER = "CHANGE-ME"
SECRETS = {
    "MLFLOW_BACKEND_STORE_URI": 20,
    "AUTH_DATABASE_URI": 20,
    "AWS_ACCESS_KEY_ID": 3,
    "AWS_SECRET_ACCESS_KEY": 16,
    "MLFLOW_AUTH_ADMIN_USERNAME": 3,
    "MLFLOW_AUTH_ADMIN_PASSWORD": 16,
    "MLFLOW_FLASK_SERVER_SECRET_KEY": 32,
}
"""What must be given, and how many characters of it at least."""
NEEDED = ("MLFLOW_ARTIFACTS_DESTINATION", "MLFLOW_SERVER_ALLOWED_HOSTS")
REFERENCE = re.compile(r"\$\(\w+\)")
"""A variable that names another one, as a manifest writes it."""
LOCK = 0x6C616273
"""Any number: whoever holds it in PostgreSQL is the one that changes tables."""


def problems(environment: Mapping[str, str]) -> list[str]:
    """What is missing, still a placeholder, or too short. Never a value.

    Kubernetes leaves a reference as it is where there is no such variable. A Service that was made after the container
    has none; the container's next start has.
    """
    found = []
    for name, least in {**dict.fromkeys(NEEDED, 1), **SECRETS}.items():
        value = environment.get(name, "")
        if not value:
            found.append(f"{name} is not set")
        elif name in NEEDED and (reference := REFERENCE.search(value)):
            found.append(f"{name} still says {reference[0]}")
        elif PLACEHOLDER in value:
            found.append(f"{name} still says {PLACEHOLDER}")
        elif len(value) < least:
            found.append(f"{name} has fewer than {least} characters")
    return found


def prepare(environment: Mapping[str, str], users: str) -> None:
    """Makes or upgrades the tables of both databases; one replica at a time."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore as Users
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

    with _alone(environment["MLFLOW_BACKEND_STORE_URI"]):
        Runs(environment["MLFLOW_BACKEND_STORE_URI"], "mlflow-artifacts:/")  # type: ignore[no-untyped-call]
        Users().init_db(users)  # type: ignore[no-untyped-call]


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({LOCK})"))
        yield
    engine.dispose()


def settings_file(users: str, folder: Path) -> Path:
    """MLflow's own file of settings for users. Nobody sees what was not shared with them."""
    path = folder / "auth.ini"
    path.touch(mode=0o600)
    values = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": users,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds": "60",  # hashing a password takes longer than most requests
    }
    lines = [f"{name} = {value.replace('%', '%%')}" for name, value in values.items()]
    path.write_text("\n".join(["[mlflow]", *lines, ""]))
    return path


def main() -> None:
    # Not in components/settings.py: the image holds MLflow and this file alone, and the names are MLflow's.
    found = problems(os.environ)
    if found:
        sys.exit(f"error: the tracking server does not start: {'; '.join(found)}")
    users = os.environ["AUTH_DATABASE_URI"]
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    prepare(os.environ, users)
    if "--prepare" in sys.argv[1:]:
        return
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(settings_file(users, Path(tempfile.mkdtemp(prefix="tracking-"))))
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"])  # noqa: S606


if __name__ == "__main__":
    main()

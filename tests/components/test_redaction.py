"""A login in an address is in nothing that is logged, stored or shown."""

from __future__ import annotations

import json
import logging
import os
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import UserError
from components.redaction import RedactingFormatter, redacted
from components.settings import settings
from components.sources.version import bring_version
from components.tracking.journal import Run
from pipelines.run_spec import compile_to, request
from serving.core.logs import JsonFormatter
from tests.components.sources import web as serving
from tests.components.steps.test_promote import champion_now, make_candidate, run_promote

PROJECT = Path(__file__).resolve().parents[2]
CANARY = "c4n4ry-4nd-s3cr3t"
WORD = st.text(string.ascii_letters + string.digits + "-._~%!$&()*+,;=", min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def _forget_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    settings.cache_clear()


def login(address: str) -> str:
    return address.replace("://", f"://somebody:{CANARY}@")


def use(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()


@hypothesis.settings(max_examples=40)
@given(scheme=st.sampled_from(["http", "https", "s3", "postgresql+psycopg"]), user=WORD, host=WORD, path=WORD)
def test_any_login_is_taken_out_and_the_rest_of_the_address_stays(scheme: str, user: str, host: str, path: str) -> None:
    for password in (CANARY, f"{CANARY}@more", f"a{CANARY}"):
        address = f"{scheme}://{user}:{password}@{host}:80/{path}"
        assert redacted(f"see {address}, please") == f"see {scheme}://{host}:80/{path}, please"
    assert redacted(f"{scheme}://{CANARY}@{host}/{path}") == f"{scheme}://{host}/{path}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://labs:with/{CANARY}@host/runs", "postgresql://host/runs"),
        (f"ftp:/somebody:{CANARY}@host is not there", "ftp:/host is not there"),
        (f'{{"url": "http://u:{CANARY}@a", "by": "me@b"}}', '{"url": "http://a", "by": "me@b"}'),
        ("models:/music@champion", "models:/music@champion"),
        ("http://host:3000/a@b and somebody@host", "http://host:3000/a@b and somebody@host"),
        ("name@sha256:abc, sqlite:////tmp/a@b", "name@sha256:abc, sqlite:////tmp/a@b"),
    ],
)
def test_what_is_a_login_and_what_is_none(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_logs_of_steps_and_of_servers_and_what_is_journalled_hold_none(tmp_path: Path) -> None:
    address = login("http://host/file")
    try:
        raise ValueError(f"no {address}")
    except ValueError:
        raised = sys.exc_info()
    record = logging.LogRecord("any", logging.WARNING, "file", 1, "%s is away", (address,), raised)
    for formatter in (RedactingFormatter("%(message)s"), JsonFormatter()):
        text = formatter.format(record)
        assert CANARY not in text
        assert "http://host/file is away" in text
        assert "no http://host/file" in text
    run = Run.open("any", None, {"pin": address}, tmp_path)
    run.log_params({"mirror": address})
    assert CANARY not in "".join(path.read_text() for path in run.folder.iterdir())


def command(folder: Path, *words: str, **variables: str) -> str:
    """What a command that fails shows, anywhere."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_a_mirror_s_login_is_in_no_error(tmp_path: Path) -> None:
    """It sends other content than was declared, so the error names it."""
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    with serving.serve() as web:
        web.pages["/music/irish.abc"] = serving.whole(b"something else")
        said = command(tmp_path, "components", "fetch", "music", "--profile", "course", DATA_MIRROR=login(web.address))
        assert "/music/irish.abc has sha256" in said
    assert CANARY not in said
    assert CANARY.encode() not in contents(tmp_path)


def test_an_mlflow_s_and_a_kubeflow_s_login_is_in_no_error(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    said = command(tmp_path, "components", "rollback", "music", "1", MLFLOW_TRACKING_URI=login("http://127.0.0.1:1"))
    assert "MLflow at http://127.0.0.1:1: " in said
    assert CANARY not in said
    said = command(tmp_path, "pipelines", "list", KUBEFLOW_HOST=login("http://127.0.0.1:1"))
    assert "127.0.0.1:1" in said
    assert CANARY not in said


def test_an_error_that_nobody_expected_shows_none(tmp_path: Path) -> None:
    lines = ("from components.redaction import configure_logging", "configure_logging()", "raise OSError({!r})")
    (tmp_path / "broken.py").write_text("\n".join(lines).format(login("http://a/b")))
    said = command(tmp_path, "broken")
    assert "OSError: http://a/b" in said
    assert CANARY not in said


def test_a_remote_s_login_is_in_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DATA_REMOTE=login("http://127.0.0.1:1"))
    with pytest.raises(UserError) as raised:
        bring_version(tmp_path, "music", "course", "0" * 32 + ".dir")
    assert CANARY not in str(raised.value)


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_nothing_that_a_promotion_leaves_holds_a_login(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundle, records, journals, MLflow's database and its artifacts."""
    use(monkeypatch, DATA_MIRROR=login("http://host"), DATA_REMOTE=login("s3://bucket"))
    make_candidate()
    assert run_promote().promoted
    assert champion_now().version == "1"
    written = contents(workplace)
    assert b"champion" in written
    assert CANARY.encode() not in written


def test_a_compiled_pipeline_takes_no_login_from_parameters_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    use(
        monkeypatch,
        DATA_MIRROR=login("http://host"),
        DATA_REMOTE=login("s3://bucket"),
        MLFLOW_TRACKING_URI=login("http://tracking:5000"),
        KUBEFLOW_HOST=login("http://kubeflow"),
    )
    compile_to(request("mlp").pipeline(), tmp_path / "mlp.yaml")
    compiled = (tmp_path / "mlp.yaml").read_text()
    assert "MLFLOW_TRACKING_URI" in compiled
    assert CANARY not in compiled
    environment = json.dumps({"DATA_REMOTE": login("s3://bucket")})
    for wrong in (f"pipelines.environment={environment}", f"pipelines.pin={login('http://host/data.dvc')}"):
        with pytest.raises(UserError, match="is an address with a login in it: give that by `secrets`") as refused:
            request("mlp", [wrong])
        assert CANARY not in str(refused.value)

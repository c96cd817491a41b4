"""A pinned version of the data is brought where there is no repository, and is checked file by file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import UserError
from components.settings import settings
from components.sources.pin import accept_data, listing
from components.sources.version import bring_version, resolved

FILES = {"music/a.abc": b"X:1\n", "mnist/b.gz": b"digits"}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose DVC cache holds the one version of its data/."""
    root = tmp_path_factory.mktemp("origin")
    for name, content in FILES.items():
        (root / "data" / name).parent.mkdir(parents=True)
        (root / "data" / name).write_bytes(content)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    accept_data(root, "data")
    return root


@pytest.fixture
def remote(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DVC remote in a folder, laid out as a cache is, and DATA_REMOTE set to it."""
    shutil.copytree(origin / ".dvc" / "cache", tmp_path / "store")
    monkeypatch.setenv("DATA_REMOTE", str(tmp_path / "store"))
    settings.cache_clear()
    yield tmp_path / "store"
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def version(origin: Path) -> str:
    return resolved(str(origin / "data.dvc"))


def test_the_version_comes_from_a_remote_and_is_pinned(remote: Path, version: str, tmp_path: Path) -> None:
    root = tmp_path / "task"
    folder = bring_version(root, "data", version)
    assert {name: (folder / name).read_bytes() for name in listing(folder)} == FILES
    assert resolved(str(root / "data.dvc")) == version


def test_a_remote_that_has_another_content_is_found_out(remote: Path, version: str, tmp_path: Path) -> None:
    kept = next(path for path in remote.rglob("*") if path.is_file() and path.read_bytes() == b"digits")
    kept.chmod(0o644)
    kept.write_bytes(b"poison")
    with pytest.raises(UserError, match=r"dvc pull data\.dvc failed") as refused:
        bring_version(tmp_path / "task", "data", version)
    assert "Having any troubles?" not in str(refused.value), "what is wrong, not where to ask for help"


def test_a_version_that_nobody_has_is_one_line(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dvc pull data\.dvc failed") as refused:
        bring_version(tmp_path / "task", "data", "0" * 32 + ".dir")
    assert "\n" not in str(refused.value)


def test_without_a_remote_the_declared_sources_must_be_that_version(
    origin: Path, remote: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(labs: object, profile: str, root: Path) -> None:
        shutil.copytree(origin / "data", root / "data")

    monkeypatch.delenv("DATA_REMOTE")
    settings.cache_clear()
    monkeypatch.setattr("components.sources.version.fetch", fetch)
    assert bring_version(tmp_path / "task", "data", version).is_dir()
    with pytest.raises(UserError, match=r"gave version [0-9a-f]+\.dir of data/, not 0+\.dir: name a DATA_REMOTE"):
        bring_version(tmp_path / "other", "data", "0" * 32 + ".dir")


def test_a_pin_is_followed_at_an_address(origin: Path, version: str) -> None:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(origin))  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert resolved(f"{address}/data.dvc") == version
        with pytest.raises(UserError, match="cannot be read"):
            resolved(f"{address}/nothing.dvc")
        (origin / "page.dvc").write_text("<html>")
        with pytest.raises(UserError, match="is not a DVC pin"):
            resolved(f"{address}/page.dvc")
    finally:
        server.shutdown()
        server.server_close()
    assert resolved(version) == version

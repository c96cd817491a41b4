"""A pinned version of a dataset is brought where there is no repository, and is checked file by file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import UserError
from components.settings import settings
from components.sources import version as module
from components.sources.catalogue import SourceFile
from components.sources.pin import accept_data, cache_pinned, entries, listing
from components.sources.version import bring_version, resolved

FILES = {"mnist/a.gz": b"X:1\n", "mnist/b.gz": b"digits"}
NOBODYS = "0" * 32 + ".dir"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose DVC cache holds the one version of each of two datasets."""
    root = tmp_path_factory.mktemp("origin")
    for name, content in {
        **{f"digits/{name}": content for name, content in FILES.items()},
        "music/a.abc": b"X:1",
    }.items():
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / name).write_bytes(content)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    for dataset in ("digits", "music"):
        accept_data(root, dataset, "course")
    cache_pinned(root)
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
    return resolved(str(origin / "data.dvc"), "digits", "course")


def test_the_version_comes_from_a_remote_and_is_pinned_alone(remote: Path, version: str, tmp_path: Path) -> None:
    root = tmp_path / "task"
    folder = bring_version(root, "digits", "course", version)
    assert folder == root / "data/digits"
    assert {name: (folder / name).read_bytes() for name in listing(folder)} == FILES
    assert entries(root / "data.dvc") == {"data/digits": version}
    assert not (root / "data/music").exists()


def test_the_versions_of_two_datasets_in_one_pin_are_two(origin: Path, version: str) -> None:
    pin = str(origin / "data.dvc")
    assert resolved(pin, "music", "course") == entries(origin / "data.dvc")["data/music"] != version
    with pytest.raises(UserError, match="no entry for data/faces"):
        resolved(pin, "faces", "course")


def test_a_remote_that_has_another_content_is_found_out(remote: Path, version: str, tmp_path: Path) -> None:
    kept = next(path for path in remote.rglob("*") if path.is_file() and path.read_bytes() == b"digits")
    kept.chmod(0o644)
    kept.write_bytes(b"poison")
    with pytest.raises(UserError, match=r"dvc pull data\.dvc failed") as refused:
        bring_version(tmp_path / "task", "digits", "course", version)
    assert "Having any troubles?" not in str(refused.value), "what is wrong, not where to ask for help"


def test_a_version_that_nobody_has_is_one_line(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dvc pull data\.dvc failed") as refused:
        bring_version(tmp_path / "task", "digits", "course", NOBODYS)
    assert "\n" not in str(refused.value)


def test_without_a_remote_the_declared_sources_must_be_that_version(
    origin: Path, remote: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bring(file: SourceFile, folder: Path, work: Path, mirror: str | None) -> None:
        shutil.copytree(origin / "data/digits", folder, dirs_exist_ok=True)

    monkeypatch.delenv("DATA_REMOTE")
    settings.cache_clear()
    monkeypatch.setattr(module, "bring", bring)
    assert bring_version(tmp_path / "task", "digits", "course", version).is_dir()
    with pytest.raises(
        UserError, match=r"gave version [0-9a-f]+\.dir of .*data/digits/, not 0+\.dir: name a DATA_REMOTE"
    ):
        bring_version(tmp_path / "other", "digits", "course", NOBODYS)


def test_a_pin_is_followed_at_an_address(origin: Path, version: str) -> None:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(origin))  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert resolved(f"{address}/data.dvc", "digits", "course") == version
        with pytest.raises(UserError, match="cannot be read"):
            resolved(f"{address}/nothing.dvc", "digits", "course")
        with pytest.raises(UserError, match=rf"{address}/data\.dvc has no entry for data/faces"):
            resolved(f"{address}/data.dvc", "faces", "course")
        (origin / "page.dvc").write_text("<html>")
        with pytest.raises(UserError, match="is not a DVC pin"):
            resolved(f"{address}/page.dvc", "digits", "course")
    finally:
        server.shutdown()
        server.server_close()
    assert resolved(version, "digits", "course") == version

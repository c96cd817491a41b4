"""Options of the fuzz run, and the folders of its targets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.requests import SERVER
from tests.serving.conftest import digits_bundle, prepared_digits, promoted_bundle  # noqa: F401
from tests.serving.servers import Server, serving

IMPATIENT: dict[str, Any] = {"header_seconds": 1.0, "body_seconds": 1.0}
"""Many requests never end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-count", type=int, default=10_000, help="inputs of all targets together")
    parser.addoption("--fuzz-seed", type=int, default=0, help="another seed makes other inputs")
    parser.addoption("--fuzz-replay", default="", help="a kept file, whose target is asked once more")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Another target's bundles and servers are not made for a replay."""
    if replay := Path(config.getoption("--fuzz-replay", "")).name:
        target = replay.split("-")[0].replace("_requests", "_api")
        for item in items:
            if target not in item.name:
                item.add_marker(pytest.mark.skip("the file is another target's"))


@pytest.fixture(scope="session")
def bundles(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(promoted_bundle, folder / "bundle")
    return folder


@pytest.fixture(scope="session")
def music_requests(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:  # noqa: F811
    folder = tmp_path_factory.mktemp("music")
    with serving("music", promoted_bundle, folder, **IMPATIENT) as server:
        yield _described(folder, server, "music"), server


@pytest.fixture(scope="session")
def digits_requests(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:  # noqa: F811
    folder = tmp_path_factory.mktemp("digits")
    with serving("digits", digits_bundle, folder, "--allow-unpromoted", **IMPATIENT) as server:
        yield _described(folder, server, "digits"), server


def _described(folder: Path, server: Server, api: str) -> Path:
    (folder / SERVER).write_text(json.dumps({"port": server.port, "pid": server.process.pid, "api": api}))
    return folder

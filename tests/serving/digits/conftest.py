"""A digits server with a small network that was trained for a few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.servers import Server, serving


@pytest.fixture(scope="session")
def digits_server(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("digits", digits_bundle, tmp_path_factory.mktemp("server"), "--allow-unpromoted") as running:
        yield running

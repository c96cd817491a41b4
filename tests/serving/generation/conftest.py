"""A generation server with an untrained generator: what it draws is noise, and the same noise for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.servers import Server, serving


@pytest.fixture(scope="session")
def generation_server(generation_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving("digit_generation", generation_bundle, folder, "--allow-unpromoted") as running:
        yield running

"""An agents server with an untrained policy: it drops the pole soon, and for a seed always in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.servers import Server, serving


@pytest.fixture(scope="session")
def agents_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from components.bundle import write_bundle
    from components.families.agents.export import export
    from tests.components.bundles import PROVENANCE
    from tests.components.families.agents.made import cartpole, new_agent, section

    folder = tmp_path_factory.mktemp("bundle") / "cartpole"
    folder.mkdir()
    write_bundle(folder, "cartpole", export(new_agent(), cartpole(), folder, section("export")), PROVENANCE)
    return folder


@pytest.fixture(scope="session")
def agents_server(agents_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("cartpole", agents_bundle, tmp_path_factory.mktemp("server"), "--allow-unpromoted") as running:
        yield running

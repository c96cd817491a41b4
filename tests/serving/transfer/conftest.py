"""A transfer server with four categories of real photographs; its backbone is the published one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.labs import Inputs
from components.steps.export import export
from components.steps.train import train
from tests.components.bundles import PROVENANCE
from tests.components.labs.transfer.made import LAB, params, weights, write_prepared
from tests.serving.servers import Server, serving
from tests.shared import made_once


@pytest.fixture(scope="session")
def transfer_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    backbone = weights()

    def make(folder: Path) -> None:
        prepared = folder / "prepared"
        prepared.mkdir()
        chosen = params(max_epochs=1, patience=1)
        chosen = chosen.model_copy(update={"export": chosen.export.model_copy(update={"variants": ("float",)})})
        inputs = Inputs(write_prepared(prepared), backbone)
        train(LAB, chosen.train, inputs, folder / "train", folder / "kept")
        export(LAB, chosen, PROVENANCE, inputs, folder / "train", folder / "export")

    return made_once(tmp_path_factory, "transfer_bundle", make) / "export"


@pytest.fixture(scope="session")
def transfer_server(transfer_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving("transfer", transfer_bundle, folder, "--allow-unpromoted", max_files=12, max_categories=3) as running:
        yield running


@pytest.fixture(scope="session")
def pictures() -> dict[str, list[bytes]]:
    """Photographs of categories that the lab's small model does not know, by category."""
    from components.sources.archive import read_tar
    from tests.face_data import RAW

    wanted = {"airplanes", "chair", "sunflower"}
    found: dict[str, list[bytes]] = {name: [] for name in sorted(wanted)}
    for name, content in read_tar(RAW / "caltech101" / "caltech101_nonfaces.tar"):
        category = name.split("/")[1]
        if category in wanted and len(found[category]) < 6:
            found[category].append(content)
    return found

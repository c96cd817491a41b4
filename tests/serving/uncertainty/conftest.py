"""An uncertainty server with a small model of concrete, trained for a few seconds on invented mixes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.datasets.uci.columns import SETS
from components.datasets.uci.prepare import prepare
from components.datasets.uci.raw import ARCHIVE
from components.sources.archive import write_tar
from tests.components.labs.uncertainty.conftest import RECIPE, exported
from tests.serving.servers import Server, serving

ROWS = 120
RANGES = ((100, 540), (0, 360), (0, 200), (120, 250), (0, 32), (800, 1150), (590, 990), (1, 365))
"""Values of the columns of concrete, in its file's order."""


@pytest.fixture(scope="session")
def concrete_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw, prepared = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    draw = np.random.default_rng(0)
    low, high = np.array(RANGES).T
    features = draw.uniform(low, high, size=(ROWS, len(RANGES)))
    # Strength grows with cement and age, and falls with water.
    target = 0.08 * features[:, 0] - 0.1 * features[:, 3] + 6 * np.log(features[:, 7]) + draw.normal(0, 3, ROWS)
    table = "\n".join(" ".join(f"{value:.3f}" for value in row) for row in np.column_stack([features, target]))
    files = {
        "data": table,
        "index_features": " ".join(map(str, range(len(RANGES)))),
        "index_target": str(len(RANGES)),
        "index_test_0": "\n".join(map(str, range(0, ROWS, 10))),
    }
    write_tar(raw / ARCHIVE, [(f"uci/concrete/{name}.txt", text.encode()) for name, text in sorted(files.items())])
    prepare(raw, prepared, limit=0)
    assert len(RANGES) == len(SETS["concrete"].features)
    recipe = {**RECIPE, "steps": 300, "hidden_sizes": [16]}
    return exported(prepared, tmp_path_factory.mktemp("bundle") / "uncertainty", sets={"concrete": recipe}).folder


@pytest.fixture(scope="session")
def uncertainty_server(concrete_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving("uncertainty", concrete_bundle, folder, "--allow-unpromoted") as running:
        yield running

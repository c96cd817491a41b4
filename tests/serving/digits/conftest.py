"""A digits server with a small network trained for a few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from components.bundle import write_bundle
from components.datasets.digits.raw import read_raw
from components.datasets.digits.reader import Split, read_split
from components.params import load
from tests.components.bundles import PROVENANCE
from tests.digits_data import raw_folders
from tests.serving.servers import PROJECT, Server, serving

PICTURES = 3000
"""Of each split; preparing all of MNIST would take longer than learning from these."""
STEPS = 250


@pytest.fixture(scope="session")
def prepared_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "mnist" not in raw_folders():
        pytest.skip("no MNIST: `make data` fetches it")
    folder = tmp_path_factory.mktemp("digits")
    raw = read_raw(raw_folders()["mnist"])
    for split in ("train", "test"):
        rows = np.flatnonzero(raw.published == split)[:PICTURES]
        np.save(folder / f"{split}_images.npy", raw.images[rows])
        np.save(folder / f"{split}_labels.npy", raw.labels[rows])
    return folder


@pytest.fixture(scope="session")
def test_digits(prepared_digits: Path) -> Split:
    return read_split(prepared_digits, "test")


@pytest.fixture(scope="session")
def digits_bundle(prepared_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that reads nine of ten digits. It has passed no gate."""
    import torch
    from torch.nn import functional

    from components.families.classification.export import export
    from components.families.classification.training.batches import to_ink
    from components.labs.digits.model import network

    params = load("digits", PROJECT / "params.yaml")
    torch.manual_seed(0)
    small = params.train.model_copy(update={"model": "fully_connected", "hidden_sizes": (64,), "dropout": 0.0})
    model = network(small)
    digits = read_split(prepared_digits, "train")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    draw = np.random.default_rng(0)
    for _ in range(STEPS):
        rows = draw.integers(0, len(digits.images), 64)
        logits = model(to_ink(torch.from_numpy(digits.images[rows])))
        loss = functional.cross_entropy(logits, torch.from_numpy(digits.labels[rows].astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("bundle") / "digits"
    folder.mkdir()
    spec = export(model.eval(), prepared_digits, folder, params.export.model_copy(update={"variants": ("float",)}))
    write_bundle(folder, "digits", spec, PROVENANCE)
    return folder


@pytest.fixture(scope="session")
def digits_server(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("digits", digits_bundle, tmp_path_factory.mktemp("server"), "--allow-unpromoted") as running:
        yield running

"""An images server with an untrained generator: what it draws is noise, and the same noise for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.bundle import write_bundle
from components.params import load
from tests.components.bundles import PROVENANCE
from tests.serving.servers import PROJECT, Server, serving


@pytest.fixture(scope="session")
def images_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from components.families.generation.export.bundle import export
    from components.families.generation.export.prior import Prior
    from components.families.generation.training.networks import Shape
    from components.families.generation.training.vae import Vae

    params = load("images", PROJECT / "params.yaml")
    torch.manual_seed(0)
    small: dict[str, Any] = {"widths": (8, 8), "latent_dim": 6, "max_epochs": 1}
    model = Vae(Shape(28, 1), params.train.model_copy(update=small)).eval()
    folder = tmp_path_factory.mktemp("bundle") / "images"
    folder.mkdir()
    pictures = np.zeros((4, 28, 28, 1), np.uint8)
    prior = Prior(np.array([0.5, 0.5]), np.array([[-1.0] * 6, [1.0] * 6]), np.stack([np.eye(6)] * 2))
    spec = export(model, pictures, folder, params.export.model_copy(update={"variants": ("float",)}), prior)
    write_bundle(folder, "images", spec, PROVENANCE)
    return folder


@pytest.fixture(scope="session")
def images_server(images_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving("images", images_bundle, tmp_path_factory.mktemp("server"), "--allow-unpromoted") as running:
        yield running

"""What the tests of the face lab share: models trained for a few seconds on a small prepared folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from components.bundle import Bundle
from components.labs.faces.params import Train
from components.labs.faces.training.batches import FaceData
from components.labs.faces.training.dbvae import DebiasingVae
from tests.face_model import bundle_of, fitted


@pytest.fixture(scope="session")
def trained_vae(prepared_faces: Path, train_params: Train) -> DebiasingVae:
    params = train_params.model_copy(update={"model": "dbvae"})
    torch.manual_seed(0)
    model = fitted(DebiasingVae(params), FaceData(prepared_faces, params))
    assert isinstance(model, DebiasingVae)
    return model


@pytest.fixture(scope="session")
def bundle(faces_bundle: Bundle) -> Bundle:
    return faces_bundle


@pytest.fixture(scope="session")
def vae_bundle(trained_vae: DebiasingVae, prepared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(trained_vae, prepared_faces, tmp_path_factory.mktemp("dbvae"))

"""What the tests of the face lab share: a small prepared folder and a model trained on it for a few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from components.bundle import Bundle, write_bundle
from components.labs.faces.batches import FaceData
from components.labs.faces.dbvae import DebiasingVae
from components.labs.faces.export import export
from components.labs.faces.model import FaceClassifier
from components.labs.faces.params import Export, Train
from components.provenance import Provenance
from tests.face_data import section, write_prepared

HERE = Provenance(git_commit="", git_dirty=False, data_version="", data_profile="course", params_hash="", code_hash="")
EPOCHS = 16


@pytest.fixture(scope="session")
def prepared_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="session")
def train_params() -> Train:
    small = {"widths": [16, 32, 32], "hidden_size": 48, "latent_dim": 12}
    return section(Train, "faces", negatives_per_face=1.0, batch_size=32, **small)


@pytest.fixture(scope="session")
def trained(prepared_faces: Path, train_params: Train) -> FaceClassifier:
    torch.manual_seed(0)
    return fitted(FaceClassifier(train_params), FaceData(prepared_faces, train_params))


@pytest.fixture(scope="session")
def trained_vae(prepared_faces: Path, train_params: Train) -> DebiasingVae:
    params = train_params.model_copy(update={"model": "dbvae"})
    torch.manual_seed(0)
    model = fitted(DebiasingVae(params), FaceData(prepared_faces, params))
    assert isinstance(model, DebiasingVae)
    return model


@pytest.fixture(scope="session")
def bundle(trained: FaceClassifier, prepared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(trained, prepared_faces, tmp_path_factory.mktemp("standard"))


@pytest.fixture(scope="session")
def vae_bundle(trained_vae: DebiasingVae, prepared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(trained_vae, prepared_faces, tmp_path_factory.mktemp("dbvae"))


def fitted(model: FaceClassifier, data: FaceData) -> FaceClassifier:
    """Trained for EPOCHS, without Lightning's Trainer."""
    model.train()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order make another model
    optimizer = torch.optim.AdamW(model.parameters())
    steps = EPOCHS * len(data.epoch(0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)
    for epoch in range(EPOCHS):
        for batch in data.epoch(epoch):
            loss = torch.stack(list(model.losses(*augmented_batch(batch, model.params)).values())).sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    torch.set_num_threads(threads)
    return model.eval()


def augmented_batch(batch: tuple[torch.Tensor, torch.Tensor], params: Train) -> tuple[torch.Tensor, torch.Tensor]:
    from components.labs.faces.augment import augmented

    return augmented(batch[0], params), batch[1]


def bundle_of(model: FaceClassifier, prepared: Path, folder: Path) -> Bundle:
    spec = export(model, prepared, folder, section(Export, "export", "faces", calibration=64, pictures=6))
    write_bundle(folder, "faces", spec, HERE)
    return Bundle.open(folder)

"""Small face models trained for a few seconds, and bundles of them."""

from __future__ import annotations

from pathlib import Path

import torch

from components.bundle import Bundle, write_bundle
from components.labs.faces.export.bundle import export
from components.labs.faces.params import Export, Train
from components.labs.faces.training.augment import augmented
from components.labs.faces.training.batches import FaceData
from components.labs.faces.training.model import FaceClassifier
from components.records import Provenance
from tests.face_data import section

HERE = Provenance(git_commit="", git_dirty=False, data_version="", data_profile="course", params_hash="", code_hash="")
EPOCHS = 16


def fitted(model: FaceClassifier, data: FaceData) -> FaceClassifier:
    """Trained for EPOCHS, without Lightning's Trainer."""
    model.train()
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
    return model.eval()


def augmented_batch(batch: tuple[torch.Tensor, torch.Tensor], params: Train) -> tuple[torch.Tensor, torch.Tensor]:
    return augmented(batch[0], params), batch[1]


def bundle_of(model: FaceClassifier, prepared: Path, folder: Path) -> Bundle:
    spec = export(model, prepared, folder, section(Export, "faces", "export", calibration=64, pictures=6))
    write_bundle(folder, "faces", spec, HERE)
    return Bundle.open(folder)

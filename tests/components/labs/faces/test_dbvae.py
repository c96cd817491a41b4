"""The four faults of the course's PyTorch version (LABS: 2B), each by a test that its code fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from components.datasets.faces.reader import read_split
from components.labs.faces.params import Train
from components.labs.faces.training.augment import augmented, plain
from components.labs.faces.training.dbvae import DebiasingVae, sampled
from components.labs.faces.training.model import Encoder
from components.labs.faces.training.resampling import face_weights
from tests.face_data import section


def published_loss(logits: Tensor, vae: Tensor, labels: Tensor) -> Tensor:
    """The course's: classification and autoencoder both count for faces only."""
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (cross_entropy * labels + vae * labels).mean()


@pytest.fixture
def vae(train_params: Train) -> DebiasingVae:
    torch.manual_seed(3)
    return DebiasingVae(train_params.model_copy(update={"model": "dbvae"}))


def gradient_of_logits(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits, retain_graph=True)[0]


def test_negatives_are_classified_too(vae: DebiasingVae, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0])
    pictures = torch.rand(4, 3, 64, 64)
    encoded = vae.encode(pictures)
    monkeypatch.setattr(vae, "encode", lambda pictures: encoded)
    loss = torch.stack(list(vae.losses(pictures, labels).values())).sum()
    ours = gradient_of_logits(loss, encoded.logits)
    theirs = gradient_of_logits(published_loss(encoded.logits, torch.zeros(4), labels), encoded.logits)
    assert (ours[labels == 0] > 0.05).all(), "their logits fall"
    assert (ours[labels == 1] < -0.05).all(), "those of faces rise"
    assert (theirs[labels == 0] == 0).all(), "the published loss says nothing of negatives"


def test_negatives_teach_the_autoencoder_nothing(vae: DebiasingVae) -> None:
    torch.manual_seed(0)
    losses = vae.losses(torch.rand(6, 3, 64, 64), torch.zeros(6))
    assert losses["reconstruction"] == 0
    assert losses["divergence"] == 0
    torch.stack(list(losses.values())).sum().backward()
    assert all(weight.grad is None or (weight.grad == 0).all() for weight in vae.decoder.parameters())


def test_the_latents_spread_by_the_root_of_their_variance() -> None:
    torch.manual_seed(0)
    log_variances = torch.tensor([-2.0, 0.0, 1.0]).expand(200_000, 3)
    latents = sampled(torch.full((200_000, 3), 5.0), log_variances)
    assert torch.allclose(latents.var(dim=0), log_variances[0].exp(), rtol=0.03)
    assert torch.allclose(latents.mean(dim=0), torch.tensor(5.0), atol=0.03)
    published = 5.0 + torch.exp(log_variances) * torch.randn_like(log_variances)
    assert not torch.allclose(published.var(dim=0), log_variances[0].exp(), rtol=0.5)


def test_resampling_sees_pictures_as_training_does(
    vae: DebiasingVae, prepared_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, seen = read_split(prepared_faces, "train"), []

    def watched(self: Encoder, pictures: Tensor, forward: object = Encoder.forward) -> Tensor:
        seen.append(pictures.detach().clone())
        return forward(self, pictures)  # type: ignore[operator, no-any-return]

    monkeypatch.setattr(Encoder, "forward", watched)
    faces = np.flatnonzero(split.is_face)[:40]
    face_weights(vae, split.images, faces, vae.params)
    still = vae.params.model_copy(
        update={"shift": 0.0, "zoom": 1.0, "rotation": 0.0, "colour": 0.0, "grey": 0.0, "blur": 0.0, "noise": 0.0}
    )
    trained_on = augmented(torch.from_numpy(np.array(split.images[faces])), still)
    encoded = torch.cat(seen)
    same = torch.minimum(
        (encoded - trained_on).abs().amax(dim=(1, 2, 3)), (encoded - trained_on.flip(3)).abs().amax(dim=(1, 2, 3))
    )
    assert same.max() < 1e-3, "0 to 1, red first; the course resamples by 0 to 255, blue first"
    assert encoded.max() <= 1


def test_resampling_leaves_the_model_in_training(vae: DebiasingVae, prepared_faces: Path) -> None:
    split = read_split(prepared_faces, "train")
    vae.train()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    face_weights(vae, split.images, np.flatnonzero(split.is_face)[:40], vae.params)
    assert all(module.training for module in vae.modules()), "the course stays in eval() for ever"
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())


def test_a_trained_one_tells_faces_from_others_and_draws_them(trained_vae: DebiasingVae, prepared_faces: Path) -> None:
    split = read_split(prepared_faces, "audit")
    pictures = plain(torch.from_numpy(np.array(split.images)))
    faces = pictures[torch.from_numpy(split.is_face)]
    with torch.inference_mode():
        encoded = trained_vae.encode(pictures)
        drawn = trained_vae.decoder(encoded.means[torch.from_numpy(split.is_face)])
    right = (encoded.logits > 0).numpy() == split.is_face
    assert right[split.is_face].mean() > 0.85
    assert right[~split.is_face].mean() > 0.75, "the published loss gives 0 here"
    mean_face = faces.mean(dim=0, keepdim=True)
    assert (drawn - faces).abs().mean() < (mean_face - faces).abs().mean(), "better than always the mean face"


def test_the_defaults_are_of_the_papers_size() -> None:
    assert section(Train, "faces", "train").latent_dim == 100

"""A VAE's pictures are drawn as the latents of real pictures are spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from components.generation.networks import Decoder, Shape
from components.generation.params import Train
from components.generation.prior import Normal, fit, folded
from components.generation.vae import Vae
from components.params import load
from components.settings import project_root


def vae(**changed: object) -> Vae:
    train: Train = load("portraits", project_root() / "params.yaml").train
    small = {"latent_dim": 2, "widths": (8, 8), "max_epochs": 1, **changed}
    return Vae(Shape(8, 3), train.model_copy(update=small))


def encode_brightness(monkeypatch: pytest.MonkeyPatch, model: Vae, deviation: float) -> None:
    """The latents become how bright a picture's left and right halves are, up to `deviation`."""

    def encode(pictures: Tensor) -> tuple[Tensor, Tensor]:
        means = pictures.mean(dim=(1, 2)).unflatten(1, (2, 4)).mean(dim=2)
        return means, torch.full_like(means, 2 * np.log(deviation))

    monkeypatch.setattr(model, "encode", encode)


def half_bright(count: int) -> np.ndarray:
    """Pictures with a left half of random brightness and a black right one."""
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images[:, :, :4] = np.random.RandomState(0).randint(256, size=(count, 1, 1, 1))
    return images


def test_what_is_fitted_has_the_mean_and_the_spread_of_latents_of_real_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The encoder's doubt about each picture is part of the spread."""
    model, images = vae(flip=False), half_bright(4000)
    encode_brightness(monkeypatch, model, deviation=0.1)
    found = fit(model, images)
    left = images[:, 0, 0, 0] / 255
    assert found.mean.tolist() == pytest.approx([left.mean(), 0], abs=1e-6)
    drawn = found.mean + torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)).double() @ found.factor.T
    assert drawn.var(dim=0).tolist() == pytest.approx([left.var() + 0.01, 0.01], rel=0.02)


def test_latents_of_mirrored_pictures_count_where_those_were_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = vae(flip=True), half_bright(4000)
    encode_brightness(monkeypatch, model, deviation=0.1)
    found = fit(model, images)
    left = images[:, 0, 0, 0].mean() / 255
    assert found.mean.tolist() == pytest.approx([left / 2, left / 2], abs=1e-6)
    covariance = found.factor @ found.factor.T
    assert covariance[0, 1] < -0.05, "where the one half is bright the other is dark"


def test_the_folded_decoder_makes_of_standard_latents_what_the_decoder_makes_of_fitted_ones() -> None:
    torch.manual_seed(0)
    decoder = Decoder(Shape(8, 3), 4, (8, 8))
    decoder(torch.randn(64, 4))  # the batch norms get statistics
    decoder.eval()
    prior = Normal(torch.randn(4).double(), torch.randn(4, 4).double().tril())
    latents = torch.randn(5, 4)
    with torch.inference_mode():
        expected = decoder((prior.mean + latents.double() @ prior.factor.T).float())
        assert torch.allclose(folded(decoder, prior)(latents), expected, atol=1e-5)
        assert not torch.allclose(decoder(latents), expected, atol=1e-2)

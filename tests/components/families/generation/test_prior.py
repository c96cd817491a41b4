"""A VAE's pictures are drawn as the latents of real pictures are spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from components.families.generation.export.prior import Prior, fit
from components.families.generation.params import Train
from components.families.generation.training.networks import Shape
from components.families.generation.training.vae import Vae
from tests.face_data import section


def vae(**changed: object) -> Vae:
    train = section(Train, "face_generation", "train")
    small = {"latent_dim": 2, "widths": (8, 8), "max_epochs": 1, **changed}
    return Vae(Shape(8, 3), train.model_copy(update=small))


def encode_brightness(monkeypatch: pytest.MonkeyPatch, model: Vae, deviation: float) -> None:
    """The latents become how bright a picture's left and right halves are, up to `deviation`."""

    def encode(pictures: Tensor) -> tuple[Tensor, Tensor]:
        means = pictures.mean(dim=(1, 2)).unflatten(1, (2, 4)).mean(dim=2)
        return means, torch.full_like(means, 2 * np.log(deviation))

    monkeypatch.setattr(model, "encode", encode)


def pictures(count: int, *left: int) -> np.ndarray:
    """Pictures with a left half as bright as one of `left`, and a black right one."""
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images[:, :, :4] = np.random.RandomState(0).choice(left, size=(count, 1, 1, 1))
    return images


def drawn(prior: Prior, count: int = 100_000) -> Tensor:
    noise = torch.randn(count, 1 + prior.means.shape[1], generator=torch.Generator().manual_seed(0))
    latents: Tensor = prior(noise)
    return latents


def test_one_component_has_the_mean_and_the_spread_of_latents_of_real_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder's doubt about each picture is part of the spread."""
    model, images = vae(flip=False), pictures(4000, *range(256))
    encode_brightness(monkeypatch, model, deviation=0.1)
    found, left = drawn(fit(model, images, 1)), images[:, 0, 0, 0] / 255
    assert found.mean(dim=0).tolist() == pytest.approx([left.mean(), 0], abs=0.01)
    assert found.var(dim=0).tolist() == pytest.approx([left.var() + 0.01, 0.01], rel=0.06)


def test_nothing_is_drawn_between_two_kinds_of_pictures_where_there_is_a_component_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, images = vae(flip=False), pictures(2000, 20, 20, 20, 240)
    encode_brightness(monkeypatch, model, deviation=0.03)

    def between(components: int) -> float:
        left = drawn(fit(model, images, components))[:, 0]
        assert float((left > 0.5).float().mean()) == pytest.approx(0.25, abs=0.05)
        return float(((left > 0.3) & (left < 0.7)).float().mean())

    assert between(1) > 0.25
    assert between(2) == 0


def test_latents_of_mirrored_pictures_count_where_those_were_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = vae(flip=True), pictures(4000, *range(256))
    encode_brightness(monkeypatch, model, deviation=0.1)
    found = drawn(fit(model, images, 1))
    half = images[:, 0, 0, 0].mean() / 255 / 2
    assert found.mean(dim=0).tolist() == pytest.approx([half, half], abs=0.01)
    assert float(found.T.cov()[0, 1]) < -0.05, "where the one half is bright the other is dark"


def test_components_come_as_often_as_their_weights_say_and_are_spread_as_they_are() -> None:
    covariances = np.stack([np.diag([0.01, 0.04]), np.diag([0.01, 0.01]), np.diag([0.04, 0.01])])
    prior = Prior(np.array([0.7, 0.1, 0.2]), np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), covariances)
    found = drawn(prior)
    nearest = (found[:, None] - prior.means).norm(dim=2).argmin(dim=1)
    assert (nearest.bincount() / len(found)).tolist() == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    for component, covariance in enumerate(covariances):
        assert found[nearest == component].var(dim=0).tolist() == pytest.approx(np.diag(covariance).tolist(), rel=0.1)


def test_few_pictures_get_few_components(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vae(flip=False)
    encode_brightness(monkeypatch, model, deviation=0.1)
    assert len(fit(model, pictures(10, *range(256)), 40).means) == 2
    assert len(fit(model, pictures(3, *range(256)), 40).means) == 1

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.datasets.faces.reader import read_split
from components.labs.faces.training import resampling
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.resampling import Combination, Histograms, face_weights, sampling_probabilities


def by_the_book(latents: np.ndarray, bins: int, smoothing: float, combination: Combination) -> np.ndarray:
    """The course's loop, a latent feature at a time; with a product it is the paper's eq. 4."""
    weights = np.zeros(len(latents)) if combination == "max" else np.ones(len(latents))
    for values in latents.T:
        density, edges = np.histogram(values, bins=bins, density=True)
        edges[0], edges[-1] = -np.inf, np.inf
        density = density + smoothing
        density /= density.sum()
        weight = 1 / density[np.digitize(values, edges) - 1]
        weight /= weight.sum()
        weights = np.maximum(weights, weight) if combination == "max" else weights * weight
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize("combination", ["max", "product"])
@pytest.mark.parametrize("smoothing", [0.1, 0.001])
def test_the_probabilities_are_those_of_the_paper_s_loop(combination: Combination, smoothing: float) -> None:
    latents = np.random.default_rng(0).normal(size=(500, 6)) * np.array([1, 2, 0.1, 1, 5, 1])
    found = sampling_probabilities(latents, 10, smoothing, combination)
    np.testing.assert_allclose(found, by_the_book(latents, 10, smoothing, combination), rtol=1e-6)


@pytest.mark.parametrize("combination", ["max", "product"])
def test_rare_faces_are_favoured_and_smoothing_takes_that_back(combination: Combination) -> None:
    draw = np.random.default_rng(1)
    latents = np.concatenate([draw.normal(0, 1, (950, 3)), draw.normal(6, 1, (50, 3))])
    sharp = sampling_probabilities(latents, 10, 0.001, combination)
    smooth = sampling_probabilities(latents, 10, 10.0, combination)
    assert sharp.sum() == pytest.approx(1)
    assert sharp[950:].mean() > 2 * sharp[:950].mean()
    assert 1 < smooth[950:].mean() / smooth[:950].mean() < sharp[950:].mean() / sharp[:950].mean()


def test_a_product_over_many_features_neither_over_nor_underflows() -> None:
    latents = np.random.default_rng(2).normal(size=(300, 2000))
    found = sampling_probabilities(latents, 10, 0.001, "product")
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)


def test_a_feature_that_never_varies_changes_nothing() -> None:
    latents = np.random.default_rng(3).normal(size=(200, 2))
    with_constant = np.concatenate([latents, np.full((200, 1), 7.0)], axis=1)
    np.testing.assert_allclose(
        sampling_probabilities(with_constant, 10, 0.001, "product"),
        sampling_probabilities(latents, 10, 0.001, "product"),
    )


def test_of_many_faces_only_a_sample_s_latents_are_held_at_once(
    trained_vae: DebiasingVae, prepared_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = read_split(prepared_faces, "train")
    faces = np.flatnonzero(split.is_face)
    held: list[int] = []
    weights = Histograms.weights

    def watched(self: Histograms, latents: np.ndarray, combination: Combination) -> np.ndarray:
        held.append(len(latents))
        return weights(self, latents, combination)

    monkeypatch.setattr(Histograms, "weights", watched)
    monkeypatch.setattr(resampling, "CHUNK", 50)
    exact = face_weights(trained_vae, split.images, faces, trained_vae.params)
    assert held == [len(faces)]
    held.clear()
    bounded = trained_vae.params.model_copy(update={"histogram_faces": 160})
    close = face_weights(trained_vae, split.images, faces, bounded)
    assert max(held) == 50
    assert close.sum() == pytest.approx(1)
    assert np.corrcoef(np.argsort(np.argsort(exact)), np.argsort(np.argsort(close)))[0, 1] > 0.6

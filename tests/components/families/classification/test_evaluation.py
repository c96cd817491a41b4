"""What is measured means what it says."""

from __future__ import annotations

import numpy as np
import pytest

from components.datasets.digits.reader import Split
from components.families.classification.evaluation import measures
from components.families.classification.evaluation.corruptions import blurred, noisy, rotated, shifted
from components.families.classification.export.detectors import choose_detector
from components.families.classification.export.distance import (
    blurred_ink,
    computed,
    directions,
    nearest,
    principal,
    subspaces,
)
from components.families.classification.params import Export
from components.families.classification.runtime.outlier_pictures import MEAN_OF, TEST, VALIDATION, kinds, mean_auroc
from components.stats import roc_auc
from tests.digits_data import raw_folders


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    from components.datasets.digits.raw import read_raw

    return read_raw(raw_folders()["uci"]).images[:100]


def answers(digits: list[int], confidence: float) -> np.ndarray:
    """Probabilities (N, 10) of a model that is so sure of each of these."""
    probabilities = np.full((len(digits), 10), (1 - confidence) / 9)
    probabilities[np.arange(len(digits)), digits] = confidence
    return probabilities


def test_the_confusion_matrix_has_truth_in_rows() -> None:
    matrix = measures.confusion_matrix(np.array([7, 7, 1]), np.array([7, 1, 1]))
    assert matrix[1, 7] == 1
    assert matrix.sum() == 3
    assert measures.recalls(matrix)[[1, 7]].tolist() == [0.5, 1.0]
    assert np.isnan(measures.recalls(matrix)[0])


def test_a_model_as_sure_as_it_is_right_is_calibrated() -> None:
    labels = np.zeros(100, int)
    probabilities = answers([0] * 80 + [1] * 20, 0.8)
    assert measures.calibration_error(measures.reliability(probabilities, labels, 15)) == pytest.approx(0)
    boasting = answers([0] * 80 + [1] * 20, 0.99)
    assert measures.calibration_error(measures.reliability(boasting, labels, 15)) == pytest.approx(0.19)


def test_the_worst_mistakes_are_the_surest() -> None:
    probabilities = np.concatenate([answers([1], 0.6), answers([2], 0.9), answers([3], 0.99)])
    found = measures.worst_mistakes(probabilities, np.array([0, 0, 3]), 5)
    assert [(mistake.row, mistake.label, mistake.answer) for mistake in found] == [(1, 0, 2), (0, 0, 1)]


def test_cross_entropy_of_a_certain_mistake_is_a_number() -> None:
    assert np.isfinite(measures.cross_entropy(answers([1], 1.0), np.array([0])))


def test_a_turn_and_back_is_where_it_was(images: np.ndarray) -> None:
    there_and_back = rotated(rotated(images, 20), -20).astype(int)
    assert np.abs(there_and_back - images).mean() < 12
    assert np.array_equal(rotated(images, 0), images)
    assert np.abs(rotated(images, 90).astype(int) - np.rot90(images, axes=(1, 2))).max() <= 1


def test_what_shifts_out_is_lost_and_paper_comes_in(images: np.ndarray) -> None:
    assert shifted(images, 28, 0).max() == 0
    assert np.array_equal(shifted(shifted(images, 3, 2), -3, -2), images)


def test_blur_keeps_the_ink_of_what_stays_inside(images: np.ndarray) -> None:
    assert blurred(images, 0.8).sum() == pytest.approx(images.astype(int).sum(), rel=0.02)
    assert blurred(images, 2.0).max() < images.max()


def test_noise_is_the_same_for_the_same_seed(images: np.ndarray) -> None:
    assert np.array_equal(noisy(images, 0.2, 1), noisy(images, 0.2, 1))
    assert not np.array_equal(noisy(images, 0.2, 1), noisy(images, 0.2, 2))


def test_pictures_of_every_kind_are_drawn_the_same_for_the_same_seed(images: np.ndarray) -> None:
    first, again, other = (kinds(images, TEST, 5, seed) for seed in (1, 1, 2))
    assert set(MEAN_OF) < first.keys()
    for kind, pictures in first.items():
        assert pictures.shape == (5, 28, 28)
        assert pictures.dtype == np.uint8
        assert np.array_equal(pictures, again[kind])
    assert not np.array_equal(first["letters"], other["letters"])


def test_a_training_digit_is_near_and_noise_is_far(images: np.ndarray) -> None:
    values = blurred_ink(images)
    components = principal(directions(values))
    (angle,), (distance,) = (nearest(values, components, [64], angle=angle) for angle in (True, False))
    (subspace,) = subspaces(values, np.arange(100) % 10, components, [8])
    others = kinds(images, TEST, 20, 1)
    for model, closest in ((angle, 0.1), (distance, 0.1), (subspace, 0.3)):
        near = computed(model, images)
        assert near.min() >= 0
        assert near.max() < closest
        for kind in ("noise", "inverted", "faces"):
            assert roc_auc(computed(model, others[kind]), near) == 1
    for model in (angle, subspace):
        brighter = computed(model, (images // 2).astype(np.uint8))
        assert np.abs(brighter - computed(model, images)).max() < 0.02, "how strong the ink is does not count"


def test_the_graphs_compute_what_their_formulas_say(images: np.ndarray) -> None:
    """In numpy and double precision. A digit's components are sought among all digits' here, so none is left out."""
    train, seen = images[:60], images[60:]
    kernel = np.eye(28) / 2 + (np.eye(28, k=1) + np.eye(28, k=-1)) / 4
    known, asked = ((kernel @ (some / 255) @ kernel).reshape(len(some), -1) for some in (train, seen))
    assert np.abs(blurred_ink(train).numpy() - known).max() < 1e-6
    components = principal(directions(blurred_ink(train)))
    (angle,), (distance,) = (nearest(blurred_ink(train), components, [784], angle=angle) for angle in (True, False))
    lengths = np.linalg.norm(asked, axis=1, keepdims=True), np.linalg.norm(known, axis=1)
    cosines = (asked @ known.T) / lengths[0] / lengths[1]
    assert np.abs(computed(angle, seen) - (1 - cosines.max(axis=1))).max() < 1e-5
    apart = np.linalg.norm(asked[:, None] - known, axis=2)
    assert np.abs(computed(distance, seen) - apart.min(axis=1) / 28).max() < 1e-4
    labels = np.arange(60) % 10
    (subspace,) = subspaces(blurred_ink(train), labels, components, [4])
    explained = [
        ((asked / lengths[0] @ np.linalg.svd(digit / np.linalg.norm(digit, axis=1, keepdims=True))[2][:4].T) ** 2)
        for digit in (known[labels == each] for each in range(10))
    ]
    most = np.max([squares.sum(axis=1) for squares in explained], axis=0)
    assert np.abs(computed(subspace, seen) - (1 - most)).max() < 1e-4


def test_test_pictures_share_no_letter_no_font_and_no_face_with_those_that_choose() -> None:
    assert not set(VALIDATION.letters) & set(TEST.letters)
    assert not set(VALIDATION.fonts) & set(TEST.fonts)
    assert VALIDATION.faces.stop <= TEST.faces.start


def test_the_detector_with_the_largest_mean_on_validation_pictures_is_kept(images: np.ndarray) -> None:
    train, validation = (Split(some, np.arange(len(some)) % 10) for some in (images[:70], images[70:]))
    params = Export(
        variants=("float",),
        parity_tolerance=1e-4,
        calibration=10,
        prototypes=70,
        detectors={"distance": (2, 32), "angle": (2, 32)},
        outliers=20,
        seed=1,
        abstain_percentile=90.0,
    )
    chosen = choose_detector(train, validation, params)
    assert list(chosen.tried) == ["angle 2", "angle 32", "distance 2", "distance 32"]
    assert mean_auroc(chosen.tried[chosen.name]) == max(map(mean_auroc, chosen.tried.values()))
    reversed_keys = params.model_copy(update={"detectors": dict(reversed(params.detectors.items()))})
    assert choose_detector(train, validation, reversed_keys).name == chosen.name, (
        "keys come from a cluster in any order"
    )
    assert (computed(chosen.model, validation.images) > chosen.limit).mean() == pytest.approx(0.1, abs=0.02)

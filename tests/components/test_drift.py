"""The distance between requests and held-out data, and how often chance alone passes its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import binom, chi2

from components.bundle import Bundle
from components.datasets.digits.raw import read_raw
from components.datasets.faces.reader import face_pictures
from components.datasets.music.reader import SPLITS, read_texts
from components.drift import (
    BINS,
    LEAST,
    Reference,
    chi_square_quantile,
    numbers,
    population_stability_index,
    threshold,
    uncounted,
    words,
)
from components.families.classification import features as digits
from components.labs.faces import features as faces
from components.labs.faces.runtime.model import FaceModel
from components.labs.music import features as music
from tests.digits_data import raw_folders
from tests.music_data import real_tunes

DRAWS = 1000
Values = Sequence[float | str]


def test_the_index_is_the_formula() -> None:
    p, q = np.array([60.5, 30.5, 10.5]) / 101.5, np.array([20.5, 20.5, 10.5]) / 51.5
    expected = sum((a - b) * log(a / b) for a, b in zip(p, q, strict=True))
    assert population_stability_index([60, 30, 10], [20, 20, 10]) == pytest.approx(expected)
    assert population_stability_index([20, 20, 10], [60, 30, 10]) == pytest.approx(expected)
    assert population_stability_index([7, 9], [7, 9]) == 0
    assert population_stability_index([100, 0], [0, 100]) > 5, "an empty bin has a logarithm"


@pytest.mark.parametrize("freedom", [3, 5, 9, 12])
@pytest.mark.parametrize("tail", [0.05, 0.01, 0.001, 0.0002])
def test_the_quantile_is_nearly_chi_squares(freedom: int, tail: float) -> None:
    assert chi_square_quantile(freedom, tail) == pytest.approx(chi2.isf(tail, freedom), rel=0.03)


def test_bins_hold_about_equally_many_and_equal_values_share_one() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    reference = numbers(values, "a number")
    assert reference.counts == (100,) * BINS
    assert [reference.bin_of(edge) for edge in reference.edges] == list(range(1, BINS))
    assert reference.bin_of(-99.0) == 0
    assert reference.bin_of(99.0) == BINS - 1
    assert len(reference.labels) == BINS
    tied = numbers([0.0] * 50 + [1.0] * 150, "mostly one")
    assert tied.counts == (50, 150)
    assert len(numbers(range(3 * LEAST), "few").counts) == 3
    assert numbers([1.0] * 100, "all the same").counts == (100,)
    assert numbers([], "none").counts == (0,)


def test_rare_words_share_a_bin() -> None:
    reference = words(["D"] * 50 + ["G"] * LEAST + ["A"] * (LEAST - 1), "a key")
    assert reference.words == ("D", "G")
    assert reference.counts == (50, LEAST, LEAST - 1)
    assert reference.labels == ["D", "G", "others"]
    assert reference.bin_of("never seen") == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": [1.0, 2.0], "counts": [1, 2]},
        {"edges": [2.0, 1.0], "counts": [1, 2, 3]},
        {"edges": [float("nan")], "counts": [1, 2]},
        {"words": ["a"], "edges": [1.0], "counts": [1, 2]},
        {"words": ["a"], "counts": [-1, 2]},
    ],
)
def test_a_reference_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Reference.model_validate({"about": "wrong", **wrong})


def test_what_has_no_reference_or_one_bin_never_drifts() -> None:
    assert uncounted("asked for", (1.0, 2.0)).values == 0
    assert threshold(100, 100, bins=1, rate=0.01) == float("inf")


def music_features(folder: Path) -> dict[str, Values]:
    melodies = [music.melody(tune) for split in SPLITS for tune in read_texts(folder, split)]
    return {name: [found[name] for found in melodies if name in found] for name in (music.KEY, *music.MELODY)}


def digit_features() -> dict[str, Values]:
    if "mnist" not in raw_folders():
        pytest.skip("no MNIST: `make data` fetches it")
    images = read_raw(raw_folders()["mnist"]).images[:5000]
    return {digits.INK: digits.features(images, np.ones(len(images)))[digits.INK].tolist()}


def face_features(folder: Path, bundle: Bundle) -> dict[str, Values]:
    pictures = np.concatenate([face_pictures(folder, split) for split in ("validation", "audit")])
    found = faces.features(pictures, FaceModel.load(bundle).logits(pictures))
    return {name: values.tolist() for name, values in found.items()}


def reference_of(values: Values) -> Reference:
    texts = [value for value in values if isinstance(value, str)]
    return words(texts, "") if texts else numbers(np.array(values, float), "")


def windows(values: Values, reference: int, window: int) -> list[tuple[Reference, float]]:
    """DRAWS times another part of the held-out values as reference, and the distance of a window of others."""
    draw, found = np.random.default_rng(1), []
    for _ in range(DRAWS):
        rows = draw.permutation(len(values))[: reference + window]
        drawn = [values[row] for row in rows]
        made = reference_of(drawn[:reference])
        found.append((made, population_stability_index(made.counts, made.count(drawn[reference:]))))
    return found


def check_false_alarms(features: Mapping[str, Values], reference: int, window: int) -> None:
    """Windows of held-out data pass a threshold as often as it says, and all features together no more often."""
    alarms = 0
    for name, values in features.items():
        found = windows(values, reference, window)
        often = sum(distance > threshold(reference, window, len(made.counts), 0.05) for made, distance in found)
        low, high = binom.interval(0.999, DRAWS, 0.05)
        assert low <= often <= high, f"{name}: {often} of {DRAWS} windows beyond the threshold of one in twenty"
        rate = 0.001 / len(features)
        alarms += sum(distance > threshold(reference, window, len(made.counts), rate) for made, distance in found)
    assert alarms <= binom.isf(0.001, DRAWS, 0.001), f"{alarms} alarms in {DRAWS} windows, one was to be expected"


def test_tunes_of_the_collection_alarm_as_rarely_as_is_stated(prepared_music: Path) -> None:
    check_false_alarms(music_features(prepared_music), reference=580, window=200)


def test_digits_alarm_as_rarely_as_is_stated() -> None:
    check_false_alarms(digit_features(), reference=3000, window=200)


def test_held_out_faces_alarm_as_rarely_as_is_stated(prepared_faces: Path, faces_bundle: Bundle) -> None:
    check_false_alarms(face_features(prepared_faces, faces_bundle), reference=160, window=100)


def test_the_first_notes_of_a_start_say_what_it_is_like() -> None:
    reel = "X:1\nT:A reel\nM:C\nL:1/8\nK:Em\nEFGA BAGF|E2E2 EFGA|BAGF EFGA|"
    found = music.features(reel, "", 0.9)
    assert found[music.KEY] == "E Minor"
    assert found[music.LOWEST] == 64
    assert found[music.EVENNESS] == 14
    assert found[music.REPEATED] == 2
    assert found[music.START] == len(reel)
    assert music.features("EFGA BAGF|", "E Minor", 1.0).keys() == {music.KEY, music.START, music.TEMPERATURE}
    assert music.features("", "", 1.0) == {music.TEMPERATURE: 1.0}


def test_a_blurred_picture_is_less_sharp_and_a_dark_one_less_bright(prepared_faces: Path) -> None:
    pictures = face_pictures(prepared_faces, "validation")[:20]
    usual = faces.features(pictures, np.zeros(20))
    dark = faces.features(pictures // 3, np.zeros(20))
    even = faces.features(np.full_like(pictures, 90), np.zeros(20))
    assert np.allclose(dark[faces.BRIGHTNESS], usual[faces.BRIGHTNESS] / 3, atol=1)
    assert np.allclose(even[faces.BRIGHTNESS], 90, atol=0.1)
    assert np.allclose(even[faces.SHARPNESS], 0, atol=1e-3)
    assert (usual[faces.SHARPNESS] > 1).all()


def test_every_real_tune_has_a_key() -> None:
    melodies = [music.melody(tune) for tune in real_tunes()]
    assert np.mean([music.KEY in found for found in melodies]) > 0.99
    assert np.mean([music.EVENNESS in found for found in melodies]) > 0.99

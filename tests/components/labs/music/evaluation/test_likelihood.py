"""Bits per character are those of the model, read from each tune's start, however tunes are batched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.bundle import Bundle
from components.labs.music.evaluation.likelihood import bits_of, bits_per_char, by_position, split_header
from components.labs.music.runtime.model import TuneModel
from tests.components.labs.music.evaluation.test_music21_validator import HORNPIPE, JIG, POLKA

TUNES = [HORNPIPE, "X", JIG, POLKA]


@pytest.fixture(scope="module", params=["float", "int8"])
def model(request: pytest.FixtureRequest, music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), request.param)


def test_bits_are_those_of_reading_a_character_at_a_time(model: TuneModel) -> None:
    (bits,) = bits_of(model, [POLKA], batch=1)
    state, last, slow = model.initial_state(1), model.vocabulary.encode("\n")[0], []
    for character in model.vocabulary.encode(POLKA):
        state, log_probs = model.read(np.array([[last]]), state)
        slow.append(-float(log_probs[0, 0, character]) / np.log(2))
        last = character
    assert len(bits) == len(POLKA)
    np.testing.assert_allclose(bits, slow, atol=1e-3)


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_a_tune_has_the_same_bits_in_any_batch(model: TuneModel, batch: int) -> None:
    alone = [bits_of(model, [tune], 1)[0] for tune in TUNES]
    for bits, expected in zip(bits_of(model, TUNES, batch), alone, strict=True):
        np.testing.assert_allclose(bits, expected, atol=1e-3)


def test_known_tunes_take_fewer_bits_than_guessing(model: TuneModel, overfitted_tunes: list[str]) -> None:
    assert bits_per_char(bits_of(model, overfitted_tunes, 8)) < np.log2(len(model.vocabulary)) / 2


def test_the_mean_is_over_characters_not_tunes() -> None:
    assert bits_per_char([np.array([1.0, 1.0, 1.0]), np.array([5.0])]) == 2
    assert np.isnan(bits_per_char([]))


def test_header_and_music_are_all_of_a_tune() -> None:
    header, music = split_header([HORNPIPE], [np.arange(len(HORNPIPE), dtype=float)])
    assert HORNPIPE[: len(header[0])].endswith("K:D Mixolydian\n")
    assert len(header[0]) + len(music[0]) == len(HORNPIPE)
    assert music[0][0] == len(header[0])


def test_positions_end_where_few_tunes_go_on() -> None:
    table = by_position([np.full(100, 2.0), np.full(60, 1.0)] + [np.full(10, 1.0)] * 8, step=50)
    assert table["position"] == [25.0]
    table = by_position([np.full(100, 2.0), np.full(50, 1.0)], step=50)
    assert table == {"position": [25.0, 75.0], "bits_per_char": [1.5, 2.0]}

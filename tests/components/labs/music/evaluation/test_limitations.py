"""A model's limitations are said where the numbers show them, and only there."""

from __future__ import annotations

import pytest

from components.labs.music.evaluation.comparison import Comparison, validated
from components.labs.music.evaluation.limitations import limitations
from components.labs.music.evaluation.success import Success
from tests.components.labs.music.evaluation.test_music21_validator import HORNPIPE, JIG, POLKA

ALL_WRITTEN = {"anything": Success(20, 20, 20, 9, 1, 4000, 3900), "metre_6-8": Success(20, 20, 20, 8, 0, 4000, 3900)}
REAL = [HORNPIPE, JIG, POLKA] * 20
BROKEN = JIG.replace("|", "", 1)
FAULTLESS = {
    "checked_rate": 1.0,
    "accepted_sample_rate": 1.0,
    "redraws_per_request": 0.0,
    "closed_rate": 0.0,
    "verbatim_run_p95": 20.0,
    "verbatim_run_p95_real": 30.0,
    "verbatim_run_excess_rate": 0.05,
    "melodic_run_excess_rate": 0.05,
    "unfinished_rate": 0.0,
    "bits_per_char_header": 1.0,
    "bits_per_char_music": 1.1,
}


def said(generated: list[str], *, worst: dict[str, Success] | None = None, **measured: float) -> list[str]:
    comparison = Comparison(
        generated=validated(generated, "generated"),
        held_out=validated(REAL, "held out"),
        training=validated(REAL, "training"),
    )
    return list(limitations(FAULTLESS | measured, comparison, ALL_WRITTEN | (worst or {})))


def test_of_a_model_that_writes_as_people_do_only_its_limits_are_said() -> None:
    (only,) = said(REAL)
    assert only.startswith("It writes Irish dance tunes")


@pytest.mark.parametrize(
    ("measured", "sentence"),
    [
        ({"accepted_sample_rate": 0.38, "redraws_per_request": 1.4}, "accepts 38% of its samples as they come"),
        ({"closed_rate": 0.02}, "2.0% of the tunes asked for are ended by forced text"),
        ({"checked_rate": 0.9}, "refused 10.0% of the tunes"),
        ({"verbatim_run_p95": 40.0, "verbatim_run_excess_rate": 0.2, "melodic_run_excess_rate": 0.1}, "It copies: "),
        ({"melodic_run_excess_rate": 0.3}, "30% of its tunes share a longer run of notes"),
        ({"unfinished_rate": 0.025}, "2.5% of its tunes did not come to an end"),
        ({"bits_per_char_header": 2.0}, "2.00 bits per character of the header, 1.10 of the music"),
    ],
)
def test_each_limitation_is_said_with_the_number_that_shows_it(measured: dict[str, float], sentence: str) -> None:
    found = said(REAL, worst=None, **measured)
    assert len(found) == 2
    assert sentence in found[0]


def test_what_is_written_least_often_is_named() -> None:
    rare = {
        "metre_3-4": Success(20, 12, 7, 60, 3, 4000, 2000),
        "type_reel": Success(20, 20, 19, 9, 0, 4000, 3900),
    }
    found = said(REAL, worst=rare)
    assert "of 20 requests for the metre 3/4, 7 ended in a tune that both judges accept" in found[0]


def test_invalid_notation_is_said_with_its_commonest_fault_when_it_is_no_chance() -> None:
    found = said([BROKEN] * 50 + REAL[:10])
    assert "10 of 60" in found[0]
    assert "length of bars (50 tunes)" in found[0]
    assert not any("invalid notation" in sentence for sentence in said([BROKEN, *REAL[:-1]])), (
        "one in sixty may be chance"
    )

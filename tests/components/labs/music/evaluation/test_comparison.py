"""Generated tunes beside real ones: copies show, whatever the key; what is cut short is not valid."""

from __future__ import annotations

import pytest

from components.datasets.music.abc_notation import check
from components.labs.music.evaluation.comparison import Comparison, agreement, valid_rate, validated
from components.labs.music.evaluation.histograms import histograms
from components.labs.music.evaluation.limitations import limitations
from components.labs.music.evaluation.novelty import body
from components.labs.music.evaluation.success import Success
from components.labs.music.training.transpose import between, transpose
from tests.components.labs.music.evaluation.test_music21_validator import HORNPIPE, JIG, POLKA, TWO_KEYS
from tests.music_data import real_tunes

TRAINING = validated([tune for tune in real_tunes() if tune.startswith("X:")][:120:4], "training tunes")
HELD_OUT = validated([HORNPIPE, JIG, POLKA, TWO_KEYS], "held-out tunes")


def compare(*texts: str) -> Comparison:
    return Comparison(validated(texts, "samples"), HELD_OUT, TRAINING)


def test_a_copied_tune_shows_with_its_source() -> None:
    copied = TRAINING[7].text
    comparison = compare(POLKA, copied.replace("T:", "T:My own "), JIG)
    worst = comparison.copies(3)[0]
    assert worst.tune.field("T").startswith("My own")
    assert worst.source is TRAINING[7]
    assert worst.run.length == len(body(copied))
    metrics = comparison.metrics()
    assert metrics["verbatim_run_p95"] > metrics["verbatim_run_p95_real"]
    assert metrics["verbatim_run_excess_rate"] == pytest.approx(1 / 3)
    assert any(
        "It copies" in sentence
        for sentence in limitations(metrics | WELL, comparison, {"anything": Success(1, 1, 1, 0, 0, 9, 9)})
    )


def test_a_tune_copied_into_another_key_shows_in_the_melodic_run_alone() -> None:
    source = next(tune for tune in TRAINING if tune.field("K") == "G Major" and tune.reading.valid)
    transposed = transpose(source.text, between("G Major", "D Major")[0])
    comparison = compare(transposed)
    assert comparison.runs["melodic_run"]["generated"][0].length == len(source.notes) - 1
    assert comparison.runs["verbatim_run"]["generated"][0].length < 30


def test_a_copy_of_a_printed_tune_shows_too_and_no_histogram_counts_it() -> None:
    copied = validated([tune for tune in real_tunes() if tune.startswith("X:")][1:2], "printed tune")
    comparison = Comparison(copied, HELD_OUT, TRAINING, copied)
    assert comparison.copies(1)[0].source is copied[0]
    assert comparison.runs["verbatim_run"]["generated"][0].length == len(body(copied[0].text))
    assert comparison.counts["training"] == Comparison(copied, HELD_OUT, TRAINING).counts["training"]


def test_real_tunes_as_samples_are_no_further_than_real_tunes() -> None:
    metrics = Comparison(HELD_OUT, HELD_OUT, TRAINING).metrics()
    assert metrics["valid_sample_rate"] == metrics["valid_sample_rate_real"] == 1
    assert metrics["verbatim_run_median"] == metrics["verbatim_run_median_real"]


def test_a_sample_that_never_ended_is_not_valid() -> None:
    (cut,) = validated([HORNPIPE], "samples", max_length=len(HORNPIPE))
    assert not cut.reading.valid
    (whole,) = validated([HORNPIPE], "samples", max_length=len(HORNPIPE) + 1)
    assert whole.reading.valid
    assert Comparison([cut, whole], HELD_OUT, TRAINING).metrics()["unfinished_rate"] == 0.5


@pytest.mark.parametrize("text", ["", "X", "\n\n", "K:", "|||", "nonsense and more of it"])
def test_samples_of_a_broken_model_are_compared_all_the_same(text: str) -> None:
    comparison = compare(text, text)
    metrics = comparison.metrics()
    assert metrics["valid_sample_rate"] == 0
    assert metrics["pitch_js_distance"] == 1
    assert list(limitations(metrics | WELL, comparison, {"anything": Success(1, 1, 1, 0, 0, 9, 9)}))
    assert comparison.tables()


def test_every_share_is_of_the_whole() -> None:
    tables = compare(HORNPIPE, "", JIG).tables()
    for name in ("pitch_class", "pitch", "note_length", "tune_length", "key", "metre"):
        for source in ("generated", "held_out", "training"):
            assert sum(map(float, tables[name][source])) == pytest.approx(1)
    for name in ("verbatim_run", "melodic_run"):
        for source in ("generated", "held_out"):
            shares = [float(share) for share in tables[name][source]]
            assert shares[0] == 1
            assert shares[-1] == 0
            assert shares == sorted(shares, reverse=True)


def test_histograms_count_what_is_heard() -> None:
    (tune,) = validated(["X:1\nM:4/4\nL:1/8\nK:D Major\ndcdA F4|dcdA F4|D8|"], "one")
    counts = histograms([tune])
    assert counts["pitch_class"] == {0: 5, 11: 2, 7: 2, 4: 2}
    assert counts["note_length"] == {"1/2": 8, "2": 2, "4": 1}
    assert counts["last_note"] == {0: 1}
    assert counts["repeated_bars"] == {3: 1}
    assert counts["key"] == {"D Major": 1}
    assert counts["tune_length"] == {0: 1}


def test_the_validator_and_the_samplers_check_agree_on_the_real_tunes() -> None:
    """They share no code, so that they agree says that both are right."""
    counts = agreement(TRAINING)
    assert counts[True, True] + counts[False, False] >= 0.95 * len(TRAINING)
    broken = [HORNPIPE.replace("F2FA", "F2F"), JIG.replace("M:6/8\n", ""), POLKA.replace("DF FD", "DF F?D")]
    assert agreement(validated(broken, "broken tunes")) == {(False, False): 3}
    assert all(check(tune) for tune in broken)
    assert valid_rate(validated(broken, "broken tunes")) == 0


WELL = {
    "bits_per_char_header": 1.0,
    "bits_per_char_music": 1.0,
    "checked_rate": 1.0,
    "accepted_sample_rate": 1.0,
    "redraws_per_request": 0.0,
    "closed_rate": 0.0,
}
"""What limitations also asks for, where there is nothing to say of it."""

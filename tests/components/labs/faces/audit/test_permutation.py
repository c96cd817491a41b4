"""What chance shows is neither hidden nor taken for a finding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.labs.faces.audit.permutation import (
    clustered_calibration_error,
    clustered_rate,
    holm,
    mcnemar,
    p_value,
    resampled_hits,
    shuffled_hits,
)
from components.stats import wilson


def crops(photographs: int, per_photograph: int, rate: float, alike: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """False positives of crops: each follows its photograph's with probability `alike`, else its own coin."""
    random = np.random.default_rng(seed)
    photo = np.repeat(np.arange(photographs), per_photograph)
    own = random.random(len(photo)) < rate
    shared = np.repeat(random.random(photographs) < rate, per_photograph)
    return np.where(random.random(len(photo)) < alike, shared, own), photo


def test_crops_of_one_photograph_count_for_less_than_as_many_photographs() -> None:
    events, photo = crops(300, 10, 0.02, alike=0.9, seed=3)
    clustered = clustered_rate(events, photo, 2000, 0.95, seed=1)
    naive = wilson(events.sum(), len(events), 1.96)
    assert clustered.high - clustered.low > 2 * (naive.high - naive.low)
    events, photo = crops(3000, 1, 0.02, alike=0, seed=3)
    alone = clustered_rate(events, photo, 2000, 0.95, seed=1)
    naive = wilson(events.sum(), len(events), 1.96)
    assert alone.high == pytest.approx(float(naive.high), rel=0.1)


def test_the_clustered_interval_holds_the_truth_where_wilsons_would_not() -> None:
    held = np.zeros(2)
    for seed in range(300):
        events, photo = crops(200, 10, 0.05, alike=0.8, seed=seed)
        for index, found in enumerate(
            (clustered_rate(events, photo, 400, 0.95, seed=1), wilson(events.sum(), len(events), 1.96))
        ):
            held[index] += found.low <= 0.05 <= found.high
    assert held[0] / 300 > 0.9
    assert held[1] / 300 < 0.7


def test_no_false_positive_is_no_proof_of_none() -> None:
    found = clustered_rate(np.zeros(4000, bool), np.repeat(np.arange(400), 10), 1000, 0.95, seed=1)
    assert found.value == 0
    assert found.high == pytest.approx(float(wilson(0, 400, 1.96).high), rel=1e-3)
    assert clustered_rate([], np.array([], str), 1000, 0.95, seed=1).high == 1


def test_the_calibration_errors_interval_holds_the_truth() -> None:
    held = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        stated = random.random(2000)
        truth = random.random(2000) < np.clip(stated + 0.05, 0, 1)
        found = clustered_calibration_error(stated, truth, np.arange(2000), 10, 200, 0.95, seed=1)
        assert found.low <= found.value <= found.high
        held += bool(found.low <= 0.049 <= found.high)
    assert held > 85


def test_chance_alone_shows_a_gap_of_four_and_a_half_points_over_four_equal_groups_of_a_hundred() -> None:
    null = shuffled_hits([95, 95, 95, 95], [100] * 4, 20_000, seed=1) / 100
    assert np.mean(null.max(1) - null.min(1)) == pytest.approx(0.045, abs=0.002)


def test_shuffled_labels_keep_who_is_found_and_how_large_groups_are() -> None:
    null = shuffled_hits([90, 5, 40], [100, 10, 50], 500, seed=1)
    assert np.all(null.sum(1) == 135)
    assert np.all(null <= [100, 10, 50])
    by_hand = np.random.default_rng(0).permuted(np.tile(np.arange(160) < 135, (4000, 1)), axis=1)
    assert null[:, 0].mean() == pytest.approx(by_hand[:, :100].sum(1).mean(), rel=0.01)
    assert null[:, 0].std() == pytest.approx(by_hand[:, :100].sum(1).std(), rel=0.15)


def test_p_values_of_fair_detectors_are_uniform() -> None:
    random = np.random.default_rng(0)
    found = []
    for seed in range(300):
        hits = random.binomial([200, 300, 400], 0.9)
        null = shuffled_hits(hits, [200, 300, 400], 300, seed) / [200, 300, 400]
        rates = hits / [200, 300, 400]
        found.append(p_value(null.max(1) - null.min(1), rates.max() - rates.min()))
    assert np.mean(np.array(found) < 0.05) < 0.09
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


@settings(deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferronis(values: list[float]) -> None:
    corrected = holm(values)
    assert np.all(corrected >= np.array(values))
    assert np.all(corrected <= np.minimum(1, len(values) * np.array(values)))
    assert np.all(np.diff(corrected[np.argsort(values)]) >= 0)


def test_holm_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert len(holm([])) == 0


@pytest.mark.parametrize(("first", "second", "p"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (1, 9, 22 / 1024)])
def test_mcnemar_is_a_coin(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_a_bootstrap_stays_within_its_groups() -> None:
    drawn = resampled_hits([95, 0, 10, 0], [100, 50, 10, 0], 2000, seed=1)
    assert np.all(drawn[:, 1:] == [0, 10, 0])
    assert drawn[:, 0].mean() == pytest.approx(95, abs=0.3)
    assert drawn[:, 0].std() == pytest.approx(np.sqrt(100 * 0.95 * 0.05), rel=0.1)


def test_the_same_seed_draws_the_same() -> None:
    assert np.array_equal(shuffled_hits([9, 8], [10, 10], 50, 7), shuffled_hits([9, 8], [10, 10], 50, 7))
    assert not np.array_equal(shuffled_hits([9, 8], [10, 10], 50, 7), shuffled_hits([9, 8], [10, 10], 50, 8))

"""What is measured of scores and labels: groups, negatives, sweeps, simulations, and the audit without labels."""

from __future__ import annotations

import time
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.labs.faces.audit.analysis import Evidence, analyse, sweep
from components.labs.faces.audit.latent import Latents, latent_audit, rarity, tenths
from components.labs.faces.audit.schema import Attribute, Details
from components.labs.faces.audit.simulate import label_noise, simulation
from components.labs.faces.audit.table import Scored
from tests.components.labs.faces.audit.made import RACES, evidence, params, scores, table

PARAMS = params()


@cache
def details() -> Details:
    return analyse(evidence(scores(table(), Indian=0.94)), PARAMS)


def attribute(name: str) -> Attribute:
    return next(found for found in details().attributes if found.name == name)


def test_groups_and_intersections_are_counted_as_by_hand() -> None:
    scored = scores(table(), Indian=0.94)
    race = {group.name: group for group in attribute("race").groups}
    assert {name: group.recall.of for name, group in race.items()} == RACES
    assert race["Indian"].recall.count == round(0.94 * 681)
    cell = (scored.table.race == "Indian") & (scored.table.gender == "Female")
    both = {group.name: group for group in attribute("race x gender").groups}
    assert len(both) == 14
    assert both["Indian, Female"].recall.value == pytest.approx(np.mean(scored.logits[cell] >= 0))
    negatives = scored.logits[~scored.table.face]
    truth = np.arange(cell.sum() + len(negatives)) < cell.sum()
    auc = roc_auc_score(truth, np.concatenate([scored.logits[cell], negatives]))
    assert both["Indian, Female"].roc_auc.value == pytest.approx(auc)


def test_the_group_that_is_found_less_stands_out_and_the_others_do_not() -> None:
    p_values = {group.name: group.below_others for group in attribute("race").groups}
    assert min(p_values, key=lambda name: p_values[name] or 0) == "Indian"
    assert (p_values.pop("Indian") or 0) < 0.01
    assert min(value or 0 for value in p_values.values()) > 0.1
    gap = attribute("race").gap
    assert gap is not None
    assert gap.worst == "Indian"
    assert gap.p_value <= gap.p_value_corrected < 0.05
    assert gap.low > 0
    assert gap.chance_mean < gap.chance_high < (gap.value or 0)
    gender = attribute("gender").gap
    assert gender is not None
    assert gender.p_value_corrected > 0.05


def test_every_way_to_say_how_unequal_groups_are_lies_in_its_interval() -> None:
    for name in ("race", "gender", "race x gender", "race x age"):
        found = attribute(name).disparities
        assert set(found) == {"gap", "ratio", "variance", "max_to_geometric_mean"}
        for disparity in found.values():
            assert disparity.low <= disparity.value <= disparity.high
    assert attribute("race").disparities["ratio"].high < 1


def test_empty_and_small_cells_are_there_and_marked() -> None:
    few = analyse(evidence(scores(table({**RACES, "Indian": 12, "Black": 0}))), PARAMS)
    race = next(found for found in few.attributes if found.name == "race")
    cells = {group.name: group for group in race.groups}
    assert (cells["Black"].recall.value, cells["Black"].recall.low, cells["Black"].recall.high) == (None, 0, 1)
    assert cells["Black"].small
    assert cells["Indian"].small
    assert not cells["White"].small
    assert race.gap is not None
    assert {race.gap.best, race.gap.worst}.isdisjoint({"Indian", "Black"})


def test_a_label_that_nobody_expected_is_shown_too() -> None:
    race = analyse(evidence(scores(table({**RACES, "Martian": 40}))), PARAMS).attributes[0]
    assert [group.name for group in race.groups][-1] == "Martian"


def test_false_positives_are_told_by_what_the_pictures_show_and_hard_ones_apart() -> None:
    negatives = details().negatives
    assert negatives.photographs == 400
    assert negatives.hard.of + negatives.other.of == negatives.all.of == 4000
    assert negatives.hard.count + negatives.other.count == negatives.all.count == 32
    assert sum(rate.count for rate in negatives.contexts.values()) == 32
    counts = [rate.count for rate in negatives.contexts.values()]
    assert counts == sorted(counts, reverse=True)


def test_a_stricter_threshold_finds_fewer_faces_and_fewer_ghosts() -> None:
    of = evidence(scores(table()))
    blurred = Scored(of.audit.table, of.audit.logits / 6 + np.random.default_rng(0).normal(size=len(of.audit.logits)))
    points = sweep(blurred, blurred, PARAMS)
    for stricter, looser in pairwise(points):
        assert stricter.threshold > looser.threshold
        assert stricter.recall <= looser.recall
        assert stricter.false_positive_rate <= stricter.target + 1e-12
        assert stricter.worst_group_recall <= stricter.recall
        assert set(stricter.gaps) == {"race", "gender"}


def test_without_faces_or_negatives_there_is_nothing_to_audit() -> None:
    for of in (table({}), table(photographs=0)):
        with pytest.raises(ValueError, match="faces and negatives"):
            analyse(evidence(scores(of)), PARAMS)


def test_a_fair_detector_mostly_passes_and_a_large_gap_is_caught() -> None:
    of = table()
    points = simulation(of, scores(of).logits[of.face] >= 0, params(simulation={"audits": 300, "gaps": [0.03, 0.1]}))
    fair, small, large = points
    assert fair.gap == 0
    assert fair.group == "Middle Eastern"
    assert fair.verdicts["PASS"] > 0.8
    assert fair.verdicts["FAIL"] < 0.01
    assert small.verdicts["PASS"] < fair.verdicts["PASS"]
    assert large.verdicts["PASS"] < 0.01
    assert large.verdicts["FAIL"] > 0.5
    for point in points:
        assert sum(point.verdicts.values()) == pytest.approx(1)


def test_wrong_labels_hide_a_gap_and_the_true_gap_is_found_again() -> None:
    of = table({"Black": 3000, "White": 3000})
    two = params(groups={"race": ["Black", "White"]}, label_noise=[0.2])
    clear = scores(of, Black=0.90, White=0.98).logits[of.face] >= 0
    (point,) = label_noise(of, clear, two)
    assert point.gap == pytest.approx(0.08 * (1 - 2 * 0.2), abs=0.01)
    random = np.random.default_rng(0)
    wrong = np.flatnonzero(of.face)[random.random(6000) < 0.2]
    of.race[wrong] = np.where(of.race[wrong] == "Black", "White", "Black")
    (point,) = label_noise(of, clear, two)
    assert point.true_gap == pytest.approx(0.08, abs=0.015)


def test_labels_that_are_a_little_wrong_do_not_change_a_clear_verdict() -> None:
    noise = {(point.attribute, point.share): point.verdicts for point in details().label_noise}
    assert set(noise) == {(name, share) for name in ("race", "gender") for share in PARAMS.label_noise}
    assert noise["gender", 0.02]["PASS"] > 0.99


def latents(faces: int = 2000) -> tuple[Latents, np.ndarray]:
    """Twenty features of a normal encoder, and a detector that misses faces far out in the seventh."""
    random = np.random.default_rng(0)
    means = Latents(random.normal(size=(4000, 20)), random.normal(size=(faces, 20)))
    miss = np.where(np.abs(means.audit[:, 7]) > 2, 0.5, 0.01)
    return means, random.random(faces) >= miss


def test_a_face_far_out_in_one_feature_is_rare() -> None:
    means = Latents(latents()[0].train, np.vstack([np.zeros(20), np.zeros(20), np.zeros(20)]))
    means.audit[1, 4] = 3.2
    means.audit[2, 4] = 50.0
    common, rare, beyond = rarity(means, bins=10, smoothing=0.001)
    assert common < rare < beyond


def test_tenths_are_equal_and_ordered() -> None:
    values = np.random.default_rng(0).normal(size=(1000, 3))
    found = tenths(values)
    assert np.all(np.bincount(found[:, 1]) == 100)
    assert values[found[:, 1] == 0, 1].max() < values[found[:, 1] == 9, 1].min()


def test_rare_faces_that_are_missed_are_found_out_without_any_label() -> None:
    means, detected = latents()
    fair = np.random.default_rng(1).random(2000) < 0.97
    found = latent_audit(means, {"candidate": detected, "champion": fair}, PARAMS)
    assert found is not None
    assert found.by_weight["candidate"].difference.low > 0
    assert found.by_weight["champion"].difference.low < 0 < found.by_weight["champion"].difference.high
    assert found.features[0].index == 7
    assert found.features[0].p_value_corrected < 0.05
    assert all(feature.p_value_corrected > 0.05 for feature in found.features[1:])
    assert latent_audit(Latents(means.train, means.audit[:9]), {"candidate": detected[:9]}, PARAMS) is None


def test_the_whole_of_it_takes_seconds_at_the_real_size_and_draws() -> None:
    of, real = evidence(scores(table())), params(draws=10_000, simulation={"audits": 2000, "gaps": [0.05] * 9})
    means = Latents(
        np.random.default_rng(0).normal(size=(8500, 100)), np.random.default_rng(1).normal(size=(5000, 100))
    )
    started = time.process_time()  # not the clock: others may be at work, too
    analyse(Evidence(of.validation, of.audit, 0.0, of.detected, means), real)
    assert time.process_time() - started < 60

"""The audit is seen to pass a good detector, to fail bad ones, and to say when it can't tell."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.labs.faces.audit.analysis import Evidence, analyse
from components.labs.faces.audit.criteria import (
    WORSE,
    at_least,
    at_most,
    group_codes,
    requirements,
    small_gap,
)
from components.labs.faces.audit.schema import Details
from components.labs.faces.audit.table import Scored
from components.records import Requirement, Verdict
from components.stats import Bounds
from tests.components.labs.faces.audit.made import RACES, evidence, params, scores, table

PARAMS = params()


def audited(of: Evidence) -> tuple[Verdict, dict[str, Requirement]]:
    found = requirements(analyse(of, PARAMS), PARAMS)
    return found[0].verdict, {requirement.name: requirement for requirement in found}


@cache
def good() -> Scored:
    return scores(table())


def test_a_good_detector_passes_and_every_reason_has_its_numbers() -> None:
    verdict, found = audited(evidence(good()))
    assert verdict is Verdict.PASS
    assert list(found) == [
        "faces",
        "photographs",
        "worst_group_recall",
        "false_positive_rate",
        "recall_gap_race",
        "recall_gap_gender",
        "calibration_error",
    ]
    assert "97.5%" in found["worst_group_recall"].reason
    assert "0.8%" in found["false_positive_rate"].reason
    assert "chance alone shows" in found["recall_gap_race"].reason


def test_a_detector_that_never_saw_one_group_fails_and_names_it() -> None:
    verdict, found = audited(evidence(scores(table(), Black=0.82)))
    assert verdict is Verdict.FAIL
    assert found["worst_group_recall"].verdict is Verdict.FAIL
    assert "perceived as Black is 82.0%" in found["worst_group_recall"].reason
    assert found["recall_gap_race"].verdict is Verdict.FAIL
    assert "Black" in found["recall_gap_race"].reason
    assert found["recall_gap_gender"].verdict is Verdict.PASS


def test_a_detector_taught_wrong_labels_fails_for_its_false_positives() -> None:
    """Faces called background in training make it timid, backgrounds called faces make it see them everywhere."""
    noisy = scores(table(), recall=0.93)
    negatives = np.flatnonzero(~noisy.table.face)
    noisy.logits[negatives[::20]] = 2.0
    verdict, found = audited(evidence(noisy))
    assert verdict is Verdict.FAIL
    assert found["false_positive_rate"].verdict is Verdict.FAIL


def test_a_detector_taught_five_wrong_labels_in_a_hundred_fails_for_its_probabilities() -> None:
    """It finds and refuses as well as any, but has learned never to be sure; a real one was off by 5.4 points."""
    scored = good()
    never_sure = np.log(1 / 0.05 - 1) / 6
    verdict, found = audited(evidence(Scored(scored.table, scored.logits * never_sure)))
    assert verdict is Verdict.FAIL
    assert [name for name, of in found.items() if of.verdict is not Verdict.PASS] == ["calibration_error"]


def test_a_small_group_is_insufficient_however_well_it_is_found() -> None:
    verdict, found = audited(evidence(scores(table({**RACES, "Middle Eastern": 60}), recall=1.0)))
    assert verdict is Verdict.INSUFFICIENT
    assert found["faces"].reason == "every gated group needs 100 audit faces: Middle Eastern has 60"
    assert found["worst_group_recall"].verdict is Verdict.PASS


def test_a_group_that_is_not_there_at_all_is_insufficient_and_not_overlooked() -> None:
    verdict, found = audited(evidence(scores(table({name: n for name, n in RACES.items() if name != "Indian"}))))
    assert verdict is Verdict.INSUFFICIENT
    assert "Indian has 0" in found["faces"].reason


def test_faces_without_any_label_are_insufficient() -> None:
    """The starter profile: a hundred faces, and nobody said whose."""
    verdict, found = audited(evidence(scores(table({"": 100}), recall=1.0)))
    assert verdict is Verdict.INSUFFICIENT
    assert found["recall_gap_race"].reason == "no two groups of perceived race have faces"


def test_few_photographs_are_insufficient_however_many_crops_they_give() -> None:
    verdict, found = audited(evidence(scores(table(photographs=40, crops=100))))
    assert verdict is Verdict.INSUFFICIENT
    assert found["photographs"].reason == "40 photographs without faces, 100 needed"


def test_a_gap_that_could_be_chance_is_insufficient() -> None:
    verdict, found = audited(evidence(scores(table(), Indian=0.935)))
    assert found["recall_gap_race"].verdict is Verdict.INSUFFICIENT
    assert verdict is Verdict.INSUFFICIENT


def test_a_loss_to_the_champion_in_one_group_fails_though_all_bounds_are_met() -> None:
    verdict, found = audited(evidence(scores(table(), White=0.955), champion=scores(table(), recall=0.985)))
    assert verdict is Verdict.FAIL
    assert found["loss_to_champion"].verdict is Verdict.FAIL
    assert "White" in found["loss_to_champion"].reason
    assert found["worst_group_recall"].verdict is Verdict.PASS


def test_as_good_as_the_champion_passes() -> None:
    verdict, found = audited(evidence(good(), champion=good()))
    assert verdict is Verdict.PASS
    assert found["loss_to_champion"].verdict is Verdict.PASS


def bounds(value: float, half: float) -> Bounds:
    return Bounds(np.array(value), np.array(max(0, value - half)), np.array(min(1, value + half)))


@pytest.mark.parametrize(
    ("rule", "value", "half", "verdict"),
    [
        (at_least, 0.95, 0.04, Verdict.PASS),
        (at_least, 0.95, 0.06, Verdict.INSUFFICIENT),
        (at_least, 0.89, 0.06, Verdict.FAIL),
        (at_most, 0.85, 0.04, Verdict.PASS),
        (at_most, 0.85, 0.06, Verdict.INSUFFICIENT),
        (at_most, 0.91, 0.06, Verdict.FAIL),
        (small_gap, 0.85, 0.04, Verdict.PASS),
        (small_gap, 0.91, 0.06, Verdict.INSUFFICIENT),
        (small_gap, 0.97, 0.06, Verdict.FAIL),
    ],
)
def test_the_rules_by_where_value_and_interval_lie(rule: object, value: float, half: float, verdict: Verdict) -> None:
    assert WORSE[int(rule(bounds(value, half), 0.9))] is verdict  # type: ignore[operator]


@settings(deadline=None)
@given(
    hits=st.lists(st.integers(60, 100), min_size=2, max_size=5),
    factor=st.integers(2, 30),
)
def test_more_faces_of_the_same_kind_never_turn_a_verdict_round(hits: list[int], factor: int) -> None:
    """They settle what was open; PASS never becomes FAIL, nor FAIL PASS."""
    few = int(group_codes(np.array(hits), 100, PARAMS))
    many = int(group_codes(np.array(hits) * factor, 100 * factor, PARAMS))
    assert abs(many - few) < 2


@settings(deadline=None)
@given(hits=st.lists(st.integers(300, 500), min_size=2, max_size=5), index=st.integers(0, 4), more=st.integers(1, 200))
def test_finding_more_of_the_worst_group_never_makes_the_verdict_worse(hits: list[int], index: int, more: int) -> None:
    better = list(hits)
    worst = int(np.argmin(better))
    better[worst] = min(better[worst] + more, max(better))
    assert group_codes(np.array(better), 500, PARAMS) <= group_codes(np.array(hits), 500, PARAMS)


def test_the_requirements_are_a_function_of_the_record_alone() -> None:
    details = analyse(evidence(good(), champion=good()), PARAMS)
    again = Details.model_validate_json(details.model_dump_json())
    assert again == details
    assert requirements(again, PARAMS) == requirements(details, PARAMS)

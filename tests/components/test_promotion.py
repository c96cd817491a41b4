"""The decision is pure: a better candidate never gets a worse verdict, and every reason can be checked."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config import Bound, Gate, Waiver
from components.promotion import decide
from components.records import WORST_FIRST, Champion, Decision, EvaluationReport, Requirement, Verdict
from tests.components.bundles import PROVENANCE

TODAY = date(2026, 11, 21)
GATE = Gate(
    metrics={
        "bits_per_char": Bound(max=1.4, max_regression=0.01, min_count=80),
        "valid_sample_rate": Bound(min=0.7, max_regression=0.05),
    },
    profile="course",
)


def candidate(metrics: dict[str, float], counts: int = 100, profile: str = "course") -> EvaluationReport:
    return EvaluationReport(
        lab="music",
        model_digest="a" * 64,
        provenance=PROVENANCE.model_copy(update={"data_profile": profile}),
        metrics=metrics,
        counts=dict.fromkeys(metrics, counts),
    )


def champion(data_version: str = PROVENANCE.data_version, **metrics: float) -> Champion:
    return Champion(version="4", model_digest="b" * 64, data_version=data_version, metrics=metrics)


def judged(gate: Gate = GATE, against: Champion | None = None, today: date = TODAY, **metrics: float) -> Decision:
    return decide(candidate(metrics), against, gate, today)


def waived(until: date) -> Gate:
    waiver = Waiver(metric="valid_sample_rate", reason="the new checker is stricter", by="Ada", until=until)
    return GATE.model_copy(update={"waivers": (waiver,)})


def test_a_candidate_within_every_bound_passes() -> None:
    decision = judged(bits_per_char=1.4, valid_sample_rate=0.7)
    assert decision.verdict is Verdict.PASS
    assert decision.champion is None
    assert "bits_per_char 1.4 is within its bound, max 1.4" in decision.reasons
    assert "there is no champion yet" in decision.reasons


def test_a_miss_fails_and_names_metric_value_and_bound_first() -> None:
    decision = judged(bits_per_char=1.4000001, valid_sample_rate=0.8)
    assert decision.verdict is Verdict.FAIL
    assert decision.reasons[0] == "bits_per_char 1.4000001 is above its bound, max 1.4"
    decision = judged(bits_per_char=1.3, valid_sample_rate=0.69)
    assert decision.reasons[0] == "valid_sample_rate 0.69 is below its bound, min 0.7"


def test_falling_behind_the_champion_fails_within_the_bounds_too() -> None:
    against = champion(bits_per_char=1.30, valid_sample_rate=0.9)
    assert judged(against=against, bits_per_char=1.305, valid_sample_rate=0.86).verdict is Verdict.PASS
    decision = judged(against=against, bits_per_char=1.32, valid_sample_rate=0.84)
    assert decision.verdict is Verdict.FAIL
    assert decision.reasons[:2] == (
        "bits_per_char 1.32 is worse than 1.3, champion version 4's, by more than max_regression 0.01",
        "valid_sample_rate 0.84 is worse than 0.9, champion version 4's, by more than max_regression 0.05",
    )


def test_a_champion_measured_on_other_data_is_no_yardstick_and_the_decision_says_so() -> None:
    against = champion(data_version="other", bits_per_char=0.5, valid_sample_rate=1.0)
    decision = judged(against=against, bits_per_char=1.3, valid_sample_rate=0.8)
    assert decision.verdict is Verdict.PASS
    assert "champion version 4 was measured on other data: regression is not judged" in decision.reasons


def test_the_champion_itself_is_recognised() -> None:
    same = champion(bits_per_char=1.3, valid_sample_rate=0.8).model_copy(update={"model_digest": "a" * 64})
    decision = judged(against=same, bits_per_char=1.3, valid_sample_rate=0.8)
    assert decision.verdict is Verdict.PASS
    assert "the candidate is the champion already (version 4)" in decision.reasons


def test_what_was_not_measured_well_enough_is_insufficient() -> None:
    missing = judged(bits_per_char=1.3)
    assert (missing.verdict, missing.reasons[0]) == (Verdict.INSUFFICIENT, "valid_sample_rate was not measured")
    metrics = {"bits_per_char": 1.3, "valid_sample_rate": 0.8}
    few = decide(candidate(metrics, counts=79), None, GATE, TODAY)
    assert few.verdict is Verdict.INSUFFICIENT
    assert few.reasons[0] == "bits_per_char was measured over 79 items, min_count 80"
    starter = decide(candidate(metrics, profile="starter"), None, GATE, TODAY)
    assert starter.verdict is Verdict.INSUFFICIENT
    assert starter.reasons[0] == "measured on the starter data, the gate asks for course"


@pytest.mark.parametrize("audited", [Verdict.PASS, Verdict.INSUFFICIENT, Verdict.FAIL])
def test_an_audit_s_answer_counts_as_a_metric_does(audited: Verdict) -> None:
    metrics = {"bits_per_char": 1.3, "valid_sample_rate": 0.8}
    requirement = Requirement(name="gap", verdict=audited, reason="the gap is 0.1")
    decision = decide(candidate(metrics), None, GATE, TODAY, (requirement,))
    assert decision.verdict is audited
    assert "audit: the gap is 0.1" in decision.reasons
    waiver = Waiver(metric="audit.gap", reason="few faces", by="Ada", until=TODAY)
    helped = decide(
        candidate(metrics), None, GATE.model_copy(update={"waivers": (waiver,)}), TODAY, (requirement,)
    ).verdict
    assert helped is (Verdict.WAIVED if audited is Verdict.FAIL else audited)


def test_equal_versions_of_data_are_the_same_data_wherever_they_were_read() -> None:
    read = "".join([*PROVENANCE.data_version])
    decision = judged(against=champion(data_version=read, bits_per_char=1.0), bits_per_char=1.3, valid_sample_rate=0.8)
    assert decision.verdict is Verdict.FAIL


def test_a_waiver_counts_until_its_last_day_and_no_longer() -> None:
    decision = judged(waived(TODAY), bits_per_char=1.3, valid_sample_rate=0.5)
    assert decision.verdict is Verdict.WAIVED
    assert decision.waived_until == TODAY
    assert decision.reasons[0] == (
        "valid_sample_rate 0.5 is below its bound, min 0.7: "
        "waived until 2026-11-21 by Ada (the new checker is stricter)"
    )
    late = judged(waived(TODAY - timedelta(days=1)), bits_per_char=1.3, valid_sample_rate=0.5)
    assert late.verdict is Verdict.FAIL


def test_a_waiver_for_a_metric_that_passes_is_not_used() -> None:
    decision = judged(waived(TODAY), bits_per_char=1.3, valid_sample_rate=0.8)
    assert (decision.verdict, decision.waived_until) == (Verdict.PASS, None)


@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.booleans())
def test_what_is_not_a_number_never_passes_nor_is_waived(value: float, first: bool) -> None:
    bits, rate = (value, 0.8) if first else (1.3, value)
    assert judged(waived(TODAY), bits_per_char=bits, valid_sample_rate=rate).verdict is Verdict.FAIL


values = st.floats(0, 3, allow_nan=False)
champions = st.none() | st.builds(
    lambda bits, rate, data: champion(data, bits_per_char=bits, valid_sample_rate=rate),
    values,
    values,
    st.sampled_from([PROVENANCE.data_version, "other"]),
)
gates = st.builds(
    lambda bits, rate, behind, count, last: Gate(
        metrics={
            "bits_per_char": Bound(max=bits, max_regression=behind, min_count=count),
            "valid_sample_rate": Bound(min=rate, max_regression=behind),
        },
        waivers=waived(last).waivers,
    ),
    values,
    values,
    st.none() | values,
    st.integers(0, 200),
    st.dates(TODAY - timedelta(days=2), TODAY + timedelta(days=2)),
)


@given(values, values, values, values, champions, gates)
def test_a_better_candidate_never_gets_a_worse_verdict(
    bits: float, rate: float, fewer: float, more: float, against: Champion | None, gate: Gate
) -> None:
    before = judged(gate, against, bits_per_char=bits, valid_sample_rate=rate)
    after = judged(gate, against, bits_per_char=bits - fewer, valid_sample_rate=rate + more)
    assert WORST_FIRST.index(after.verdict) >= WORST_FIRST.index(before.verdict)


@given(values, values, champions, gates)
def test_every_gated_metric_has_a_reason_that_names_its_value(
    bits: float, rate: float, against: Champion | None, gate: Gate
) -> None:
    decision = judged(gate, against, bits_per_char=bits, valid_sample_rate=rate)
    assert any(reason.startswith(f"valid_sample_rate {rate}") for reason in decision.reasons)
    counted = gate.metrics["bits_per_char"].min_count <= 100
    assert any(
        reason.startswith(f"bits_per_char {bits}" if counted else "bits_per_char") for reason in decision.reasons
    )
    if not decision.verdict.allows:
        assert "is within" not in decision.reasons[0]


@given(values, values, champions, gates)
def test_a_decision_survives_being_written_and_read(
    bits: float, rate: float, against: Champion | None, gate: Gate
) -> None:
    decision = judged(gate, against, bits_per_char=bits, valid_sample_rate=rate)
    assert Decision.model_validate(decision.model_dump(mode="json")) == decision


def test_a_gate_that_can_decide_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="either min"):
        Bound(max_regression=0.1)
    with pytest.raises(ValueError, match="either min"):
        Bound(min=0.1, max=0.2)
    with pytest.raises(ValueError, match="has no gate"):
        Gate(metrics={"other": Bound(min=1)}, waivers=waived(TODAY).waivers)
    with pytest.raises(ValueError, match="at least 1"):
        Gate(metrics={})


def test_a_champion_measured_with_another_model_says_nothing_about_regression() -> None:
    ours = candidate({"bits_per_char": 1.32, "valid_sample_rate": 0.9}).model_copy(
        update={"reference_models": {"digits": "c" * 64}}
    )
    theirs = champion(bits_per_char=1.0, valid_sample_rate=0.9)
    same = theirs.model_copy(update={"reference_models": {"digits": "c" * 64}})
    passed = {"digits": Verdict.PASS}
    assert decide(ours, same, GATE, TODAY, reference_models=passed).verdict is Verdict.FAIL
    other = theirs.model_copy(update={"reference_models": {"digits": "d" * 64}})
    decision = decide(ours, other, GATE, TODAY, reference_models=passed)
    assert decision.verdict is Verdict.PASS
    assert "champion version 4 was measured with another model of digits: regression is not judged" in decision.reasons
    assert decision.reference_models == ours.reference_models


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            Verdict.INSUFFICIENT,
            "measured with a model of digits (cccccccccccc) of which its own gate says INSUFFICIENT",
        ),
        (Verdict.FAIL, "measured with a model of digits (cccccccccccc) of which its own gate says FAIL"),
        (None, "measured with a model of digits (cccccccccccc) that no gate has judged"),
        (Verdict.PASS, None),
        (Verdict.WAIVED, None),
    ],
)
def test_figures_by_a_model_that_did_not_pass_itself_are_insufficient(said: Verdict | None, reason: str | None) -> None:
    metrics = {"bits_per_char": 1.3, "valid_sample_rate": 0.9}
    ours = candidate(metrics).model_copy(update={"reference_models": {"digits": "c" * 64}})
    decision = decide(ours, None, GATE, TODAY, reference_models={"digits": said})
    if reason is None:
        assert decision.verdict is Verdict.PASS
    else:
        assert (decision.verdict, decision.reasons[0]) == (Verdict.INSUFFICIENT, reason)
    assert decide(ours, None, GATE, TODAY).verdict is Verdict.INSUFFICIENT, "what nobody said counts as not passed"

"""The gate writes its decision down; a blocked candidate is a result."""

from __future__ import annotations

import json
import logging
import math
from datetime import date
from pathlib import Path

import pytest

from components.config import Bound, Gate, Waiver
from components.errors import BlockedError, UserError
from components.files import sha256_file
from components.labs import find
from components.params import load
from components.records import ChampionSeen, Decision, Verdict
from components.settings import project_root, settings
from components.steps.gate import gate
from tests.components import bundles

LAB = find("music")
PARAMS = load(LAB, project_root() / "params.yaml").model_copy(
    update={"gate": Gate(metrics={"bits_per_char": Bound(max=1.4)})}
)


class Audited(type(LAB)):  # type: ignore[misc]
    audited = True


def test_a_pass_is_written_for_people_and_for_programs(workplace: Path) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    decision = gate(LAB, PARAMS, Path("evaluate"), Path("gate"))
    written = json.loads(Path("gate/decision.json").read_text())
    assert written["verdict"] == decision.verdict == Verdict.PASS
    assert written["model_digest"] == report.model_digest
    assert written["champion"] is None
    assert written["metrics"] == {"bits_per_char": 1.3}
    text = Path("gate/decision.md").read_text()
    assert text.startswith("# music: PASS\n")
    assert "bits_per_char 1.3 is within its bound, max 1.4" in text


def test_a_blocked_candidate_is_loud_and_no_crash(workplace: Path, caplog: pytest.LogCaptureFixture) -> None:
    bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.5)
    with caplog.at_level(logging.WARNING):
        assert gate(LAB, PARAMS, Path("evaluate"), Path("gate")).verdict is Verdict.FAIL
    assert "BLOCKED music: FAIL: bits_per_char 1.5 is above its bound, max 1.4" in caplog.text


def test_who_asks_for_a_pass_gets_exit_code_3_after_the_decision_is_written(workplace: Path) -> None:
    bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.5)
    with pytest.raises(BlockedError, match=r"bits_per_char 1\.5") as raised:
        gate(LAB, PARAMS, Path("evaluate"), Path("gate"), require_pass=True)
    assert raised.value.exit_code == 3
    assert json.loads(Path("gate/decision.json").read_text())["verdict"] == "FAIL"


def test_a_metric_that_is_not_a_number_travels_through_the_files_and_fails(workplace: Path) -> None:
    bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=math.nan)
    assert gate(LAB, PARAMS, Path("evaluate"), Path("gate")).verdict is Verdict.FAIL


def audited_gate(**metrics: float) -> Decision:
    gates = Gate(metrics={"bits_per_char": Bound(max=1.4), **{name: Bound(max=0.1) for name in metrics}})
    return gate(Audited(), PARAMS.model_copy(update={"gate": gates}), Path("evaluate"), Path("gate"), Path("audit"))


def test_an_audited_lab_needs_its_audit_and_is_gated_by_its_metrics(workplace: Path) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    with pytest.raises(UserError, match="gated by its audit"):
        gate(Audited(), PARAMS, Path("evaluate"), Path("gate"))
    bundles.audit(report, Path("audit"), recall_gap=0.2)
    decision = audited_gate(recall_gap=0.2)
    assert decision.reasons[0] == "recall_gap 0.2 is above its bound, max 0.1"
    assert "audit: the gap is what it is" in decision.reasons
    assert decision.audit == sha256_file(Path("audit/audit.json"))


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INSUFFICIENT])
def test_the_audits_verdict_blocks_though_every_metric_is_within_its_bound(workplace: Path, verdict: Verdict) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    bundles.audit(report, Path("audit"), verdict)
    decision = audited_gate()
    assert decision.verdict is verdict
    assert decision.reasons[0] == "audit: the gap is what it is"


def test_a_failed_requirement_can_be_waived_by_name_until_a_day(workplace: Path) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    bundles.audit(report, Path("audit"), Verdict.FAIL)
    waiver = Waiver(metric="audit.gap", reason="a better model is coming", by="Ada", until=date(9999, 1, 1))
    gates = PARAMS.gate.model_copy(update={"waivers": (waiver,)})
    params = PARAMS.model_copy(update={"gate": gates})
    decision = gate(Audited(), params, Path("evaluate"), Path("gate"), Path("audit"))
    assert decision.verdict is Verdict.WAIVED
    assert "by Ada" in decision.reasons[0]


def test_an_audit_of_another_model_or_threshold_is_refused(workplace: Path) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    bundles.audit(report.model_copy(update={"serve": {"threshold": 0.5}}), Path("audit"))
    with pytest.raises(UserError, match="different models or thresholds"):
        audited_gate()
    bundles.audit(report, Path("audit"))
    bundles.evaluate(bundles.write(Path("other"), weight=9.0), Path("evaluate"), bits_per_char=1.3)
    with pytest.raises(UserError, match="different models"):
        audited_gate()


def test_an_audit_beside_a_champion_of_another_registry_counts_where_there_is_none(workplace: Path) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    bundles.audit(report, Path("audit"), champion=ChampionSeen(version="3", model_digest="e" * 64))
    assert audited_gate().verdict is Verdict.PASS


@pytest.mark.parametrize("content", ["", "[]", '{"lab": "music"}', '{"metrics": {"bits_per_char": "low"}}'])
def test_an_evaluation_that_is_none_is_refused_in_one_line_that_names_it(workplace: Path, content: str) -> None:
    Path("evaluate").mkdir()
    Path("evaluate/evaluation.json").write_text(content)
    with pytest.raises(UserError, match=r"evaluate/evaluation\.json") as raised:
        gate(LAB, PARAMS, Path("evaluate"), Path("gate"))
    assert "\n" not in str(raised.value)
    assert not Path("gate").exists()


def test_an_mlflow_that_is_not_there_stops_the_gate_by_name(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(UserError, match=r"MLflow at http://127\.0\.0\.1:9"):
        gate(LAB, PARAMS, Path("evaluate"), Path("gate"))
    assert not Path("gate").exists()


def test_a_metric_that_evaluation_and_audit_both_measure_is_one_line(workplace: Path) -> None:
    report = bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3, recall_gap=0.01)
    bundles.audit(report, Path("audit"), recall_gap=0.02)
    with pytest.raises(UserError) as refused:
        audited_gate()
    assert str(refused.value) == "music: evaluation and audit both measure recall_gap: give one another name"
    assert not Path("gate").exists()

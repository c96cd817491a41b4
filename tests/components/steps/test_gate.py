"""The gate writes its decision down; a blocked candidate is a result."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest

from components.errors import BlockedError, UserError
from components.labs import find
from components.params import Bound, Data, Gate, LabParams
from components.promotion import Verdict
from components.steps.gate import gate
from tests.components import bundles

LAB = find("music")
PARAMS = LabParams(
    data=Data(folder="data"),
    train=None,
    prepare=None,
    export=None,
    evaluate=None,
    gate=Gate(metrics={"bits_per_char": Bound(max=1.4)}),
    serve=None,
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


def test_an_audited_lab_needs_its_audit_and_is_gated_by_it(workplace: Path) -> None:
    bundle = bundles.write(Path("export"))
    bundles.evaluate(bundle, Path("evaluate"), bits_per_char=1.3)
    with pytest.raises(UserError, match="gated by its audit"):
        gate(Audited(), PARAMS, Path("evaluate"), Path("gate"))
    bundles.evaluate(bundle, Path("audit"), recall_gap=0.2)
    Path("audit/evaluation.json").rename("audit/audit.json")
    gates = Gate(metrics={"bits_per_char": Bound(max=1.4), "recall_gap": Bound(max=0.1)})
    params = PARAMS.model_copy(update={"gate": gates})
    decision = gate(Audited(), params, Path("evaluate"), Path("gate"), Path("audit"))
    assert decision.reasons[0] == "recall_gap 0.2 is above its bound, max 0.1"
    bundles.evaluate(bundles.write(Path("other"), weight=9.0), Path("evaluate"), bits_per_char=1.3)
    with pytest.raises(UserError, match="different models"):
        gate(Audited(), params, Path("evaluate"), Path("gate"), Path("audit"))


@pytest.mark.parametrize("content", ["", "[]", '{"lab": "music"}', '{"metrics": {"bits_per_char": "low"}}'])
def test_an_evaluation_that_is_none_is_refused_in_one_line_that_names_it(workplace: Path, content: str) -> None:
    Path("evaluate").mkdir()
    Path("evaluate/evaluation.json").write_text(content)
    with pytest.raises(UserError, match=r"evaluate/evaluation\.json") as raised:
        gate(LAB, PARAMS, Path("evaluate"), Path("gate"))
    assert "\n" not in str(raised.value)
    assert not Path("gate").exists()


def test_an_mlflow_that_is_not_there_stops_the_gate_by_name(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.settings import settings

    bundles.evaluate(bundles.write(Path("export")), Path("evaluate"), bits_per_char=1.3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(UserError, match=r"MLflow at http://127\.0\.0\.1:9"):
        gate(LAB, PARAMS, Path("evaluate"), Path("gate"))
    assert not Path("gate").exists()

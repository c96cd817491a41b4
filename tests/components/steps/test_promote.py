"""Promotion moves one alias, once, for the bundle that was judged; killed anywhere it is done or not begun."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.bundle import Bundle
from components.config import Bound, DatasetParams, Gate, LabParams, Waiver
from components.errors import BundleError, UserError
from components.files import sha256_file, write_json
from components.labs import find
from components.promoted import read_served
from components.provenance import provenance
from components.records import AuditReport, Champion, Decision, Promotion, Verdict
from components.sources.pin import accept_data
from components.steps.gate import gate
from components.steps.promote import Folders, promote, roll_back
from components.tracking.journal import Run
from components.tracking.mlflow_client import connect
from components.tracking.registry import champion, champion_version, fetch_model, verdict_of
from tests.components import bundles
from tests.components.steps.test_gate import PARAMS, Audited

LAB = find("music")
EXPORT, EVALUATE, GATE, OUT = Path("export"), Path("evaluate"), Path("gate"), Path("promote")
AUDIT = Path("audit")


def make_candidate(weight: float = 2.0, bits_per_char: float = 1.3, params: LabParams = PARAMS) -> Bundle:
    """Outputs of export, evaluate and gate, as the steps write them; the gate sees the champion there is now."""
    bundle = bundles.write(EXPORT, weight=weight)
    bundles.evaluate(bundle, EVALUATE, bits_per_char=bits_per_char)
    gate(LAB, params, EVALUATE, GATE)
    return bundle


def run_promote(params: LabParams = PARAMS, folder: Path = Path()) -> Promotion:
    made = Folders(folder / EXPORT, folder / EVALUATE, folder / GATE)
    return promote(LAB, params, made, folder / OUT, run=Run.open("music promote", None, {}, folder / "journals"))


def test_a_model_is_trusted_to_measure_where_its_gate_here_or_its_promotion_says_so(workplace: Path) -> None:
    """Measured with a model that is gated in this folder, as on a laptop, or only in the registry, as on a cluster."""
    reference = make_candidate()
    (workplace / "generation").mkdir()
    report = bundles.evaluate(bundles.write(Path("other"), weight=5.0), Path("generation"), bits_per_char=1.3)
    measured = report.model_copy(update={"reference_models": {"music": reference.digest}})
    write_json(Path("generation/evaluation.json"), measured.model_dump(mode="json"))

    def judged(decided: Path) -> Decision:
        return gate(LAB, PARAMS, Path("generation"), Path("generation/gate"), reference_models={"music": decided})

    assert judged(Path("nowhere")).verdict is Verdict.INSUFFICIENT
    assert "that no gate has judged" in Path("generation/gate/decision.md").read_text()
    assert judged(GATE).verdict is Verdict.PASS
    run_promote()
    assert judged(Path("nowhere")).verdict is Verdict.PASS, "it was promoted"
    make_candidate(weight=3.0, bits_per_char=1.5)
    assert judged(GATE).verdict is Verdict.PASS, "what is decided here is of another model"
    make_candidate(bits_per_char=1.5)
    assert judged(GATE).reasons[0].endswith("of which its own gate says FAIL")


def champion_now() -> Champion:
    found = champion("music")
    assert found is not None
    return found


def test_the_first_candidate_that_passes_becomes_the_champion_with_all_that_was_said_of_it(workplace: Path) -> None:
    bundle = make_candidate()
    promotion = run_promote()
    assert (promotion.promoted, promotion.version, promotion.verdict) == (True, "1", Verdict.PASS)
    assert Promotion.model_validate(json.loads((OUT / "promotion.json").read_text())) == promotion
    assert champion_now().metrics == {"bits_per_char": 1.3}
    served = Bundle.open(fetch_model("models:/music@champion", Path("served")))
    assert served.digest == bundle.digest
    for name in ("evaluation.json", "decision.json", "promotion.json"):
        assert json.loads((served.folder / name).read_text())["model_digest"] == bundle.digest
    record = Promotion.model_validate(json.loads((served.folder / "promotion.json").read_text()))
    run = connect().get_run(str(record.mlflow_run))
    assert run.info.run_name == "music promote"
    tags = connect().get_model_version("music", "1").tags
    assert tags["data_version"] == bundles.PROVENANCE.data_version


def test_promoting_the_champion_again_moves_nothing_and_the_record_is_the_same(workplace: Path) -> None:
    make_candidate()
    run_promote()
    first = (OUT / "promotion.json").read_bytes()
    assert run_promote().version == "1"
    assert (OUT / "promotion.json").read_bytes() == first
    make_candidate()
    assert run_promote().version == "1"
    assert len(connect().search_model_versions("name = 'music'")) == 1


def test_the_champion_measured_anew_is_promoted_with_its_new_evaluation(workplace: Path) -> None:
    """As when an evaluation chooses another threshold for the same weights."""
    bundle = make_candidate()
    run_promote()
    bundles.evaluate(bundle, EVALUATE, bits_per_char=1.25)
    gate(LAB, PARAMS, EVALUATE, GATE)
    assert run_promote().version == "2"
    assert champion_now().metrics == {"bits_per_char": 1.25}


def test_a_blocked_candidate_is_recorded_loudly_and_the_champion_stays(
    workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_candidate()
    run_promote()
    make_candidate(weight=3.0, bits_per_char=1.5)
    with caplog.at_level(logging.WARNING):
        promotion = run_promote()
    assert (promotion.promoted, promotion.version, promotion.verdict) == (False, None, Verdict.FAIL)
    assert "NOT PROMOTED music: FAIL: bits_per_char 1.5 is above its bound" in caplog.text
    assert champion_now().version == "1"


def test_a_bundle_swapped_after_its_evaluation_is_refused(workplace: Path) -> None:
    make_candidate()
    bundles.write(EXPORT, weight=3.0)
    with pytest.raises(UserError, match=r"evaluation\.json speaks of another bundle.*model_digest"):
        run_promote()
    assert champion("music") is None
    assert not OUT.exists()


@pytest.mark.parametrize("field", ["data_version", "data_profile", "params_hash", "code_hash"])
def test_records_of_other_data_parameters_or_code_are_refused_by_name(workplace: Path, field: str) -> None:
    bundle = make_candidate()
    path = GATE / "decision.json"
    decision = json.loads(path.read_text())
    write_json(path, {**decision, "provenance": {**decision["provenance"], field: "other"}})
    with pytest.raises(UserError, match=rf"decision\.json speaks of another bundle.*{field}"):
        run_promote()
    write_json(path, {**decision, "provenance": {**decision["provenance"], "git_commit": "other"}})
    assert run_promote().model_digest == bundle.digest


def test_an_evaluation_changed_after_the_decision_is_refused(workplace: Path) -> None:
    bundle = make_candidate()
    bundles.evaluate(bundle, EVALUATE, bits_per_char=1.2)
    with pytest.raises(UserError, match=r"evaluation\.json is not the evaluation that the decision was made from"):
        run_promote()


def test_a_damaged_bundle_is_refused(workplace: Path) -> None:
    make_candidate()
    (EXPORT / "step.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match=r"step\.onnx"):
        run_promote()


WAIVED = PARAMS.model_copy(
    update={
        "gate": Gate(
            metrics={"bits_per_char": Bound(max=1.4)},
            waivers=(Waiver(metric="bits_per_char", until=date.max, reason="a new corpus", by="me"),),
        )
    }
)


def until(day: date) -> LabParams:
    """Parameters whose waiver ends that day."""
    waiver = WAIVED.gate.waivers[0].model_copy(update={"until": day})
    return WAIVED.model_copy(update={"gate": WAIVED.gate.model_copy(update={"waivers": (waiver,)})})


def test_a_waiver_that_ran_out_after_the_decision_is_refused(workplace: Path) -> None:
    make_candidate(bits_per_char=1.5, params=WAIVED)
    path = GATE / "decision.json"
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    write_json(path, {**json.loads(path.read_text()), "waived_until": yesterday.isoformat()})
    with pytest.raises(UserError, match=f"ran out on {yesterday}"):
        run_promote(WAIVED)


def test_a_decision_that_was_edited_makes_nobody_champion(workplace: Path) -> None:
    """FAIL made PASS, a bound that was widened, a waiver that nobody gave: the gate is asked again."""
    make_candidate(bits_per_char=9.0)
    path = GATE / "decision.json"
    blocked = json.loads(path.read_text())
    waived = {"verdict": "WAIVED", "waived_until": "2999-01-01", "reasons": ["bits_per_char 9.0: waived by me"]}
    for edited in ({"verdict": "PASS"}, {"verdict": "PASS", "reasons": ["bits_per_char 9.0 is fine"]}, waived):
        write_json(path, {**blocked, **edited})
        with pytest.raises(UserError, match=r"is not what its evaluation comes to, which is FAIL \(bits_per_char 9\.0"):
            run_promote()
    gate(LAB, PARAMS.model_copy(update={"gate": Gate(metrics={"bits_per_char": Bound(max=9.9)})}), EVALUATE, GATE)
    with pytest.raises(UserError, match="comes to, which is FAIL"):
        run_promote()
    assert champion("music") is None


def test_an_audit_that_failed_cannot_be_edited_away(workplace: Path) -> None:
    make_audited(Verdict.FAIL)
    path = GATE / "decision.json"
    write_json(path, {**json.loads(path.read_text()), "verdict": "PASS"})
    with pytest.raises(UserError, match=r"comes to, which is FAIL \(audit: "):
        run_audited()
    assert champion("music") is None


def test_a_version_whose_waiver_ran_out_is_not_rolled_back_to(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime.now(UTC).date()
    make_candidate(weight=2.0, bits_per_char=1.5, params=until(today))
    assert run_promote(until(today)).verdict is Verdict.WAIVED
    make_candidate(weight=3.0)
    run_promote()
    assert roll_back(LAB, "1") == "3", "on its last day"
    make_candidate(weight=3.0)
    run_promote()
    tomorrow = today + timedelta(days=1)
    monkeypatch.setattr("components.steps.promote.read_served", lambda folder: read_served(folder, tomorrow))
    with pytest.raises(
        UserError, match=f"version 1 of music does not count as promoted: its waiver ran out on {today}"
    ):
        roll_back(LAB, "1")
    assert champion_now().version == "4"


def test_a_waiver_that_was_prolonged_is_promoted_once_more(workplace: Path) -> None:
    """The model is the champion already, but what its bundle says of it would soon not be served any more."""
    today = datetime.now(UTC).date()
    make_candidate(bits_per_char=1.5, params=until(today))
    run_promote(until(today))
    longer = until(today + timedelta(days=30))
    make_candidate(bits_per_char=1.5, params=longer)
    assert run_promote(longer).version == "2"
    assert run_promote(longer).version == "2"


def test_what_somebody_wrote_into_the_registry_is_not_rolled_back_to(workplace: Path) -> None:
    make_candidate(weight=2.0)
    run_promote()
    make_candidate(weight=3.0)
    run_promote()
    version = connect().get_model_version("music", "1")
    evaluation = Path(str(version.source)) / "evaluation.json"
    original = evaluation.read_text()
    evaluation.write_text(original.replace("100", "1000000"))
    with pytest.raises(UserError, match="is not the evaluation that the decision was made from"):
        roll_back(LAB, "1")
    evaluation.write_text(original)
    attestation = evaluation.with_name("attestation.json")
    attestation.rename(evaluation.parent / "elsewhere")
    with pytest.raises(UserError, match="is not signed"):
        roll_back(LAB, "1")
    assert champion_now().version == "2"


def test_a_verdict_or_a_figure_that_somebody_wrote_into_the_registry_does_not_count(
    workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = make_candidate()
    run_promote()
    version = connect().get_model_version("music", "1")
    assert verdict_of("music", bundle.digest) is Verdict.PASS
    decision = Path(str(version.source)) / "decision.json"
    decision.write_text(decision.read_text().replace("1.3", "0.1"))
    assert not champion_now().readable
    assert verdict_of("music", bundle.digest) is None
    assert "its decision.json was changed after it was signed" in caplog.text
    connect().create_model_version(
        "music", str(version.source), version.run_id, {"model_digest": "0" * 64, "verdict": "PASS"}
    )
    assert verdict_of("music", "0" * 64) is None


def make_audited(verdict: Verdict = Verdict.PASS) -> Bundle:
    """As `make_candidate`, of a lab that is audited; its metric comes before the evaluation's in the alphabet."""
    bundle = bundles.write(EXPORT)
    report = bundles.evaluate(bundle, EVALUATE, bits_per_char=1.3)
    bundles.audit(report, AUDIT, verdict, audit_gap=0.01)
    gate(Audited(), PARAMS, EVALUATE, GATE, AUDIT)
    return bundle


def run_audited(audit: Path | None = AUDIT) -> Promotion:
    made = Folders(EXPORT, EVALUATE, GATE, audit)
    return promote(Audited(), PARAMS, made, OUT, run=Run.open("music promote", None, {}))


def test_an_audited_champion_carries_its_audit_and_the_reports_of_it(workplace: Path) -> None:
    bundle = make_audited()
    with pytest.raises(UserError, match="promoted with its audit"):
        run_audited(None)
    assert run_audited().version == "1"
    served = Bundle.open(fetch_model("models:/music@champion", Path("served")))
    audit = AuditReport.model_validate(json.loads((served.folder / "audit.json").read_text()))
    assert audit.model_digest == bundle.digest
    assert (served.folder / "audit.html").read_text() == "<p>PASS</p>"
    decision = Decision.model_validate(json.loads((served.folder / "decision.json").read_text()))
    assert decision.audit == sha256_file(served.folder / "audit.json")


def test_a_model_that_failed_its_audit_is_not_promoted(workplace: Path) -> None:
    make_audited(Verdict.FAIL)
    promotion = run_audited()
    assert (promotion.promoted, promotion.version) == (False, None)
    assert champion("music") is None


def test_a_model_swapped_after_its_audit_is_refused(workplace: Path) -> None:
    make_audited()
    bundles.write(EXPORT, weight=9.0)
    with pytest.raises(UserError, match="speaks of another bundle"):
        run_audited()
    assert champion("music") is None


def test_an_audit_or_report_changed_after_the_decision_is_refused(workplace: Path) -> None:
    make_audited()
    path = AUDIT / "audit.json"
    original = path.read_text()
    path.write_text(original.replace("what it is", "nothing to speak of"))
    with pytest.raises(UserError, match="not the audit that the decision was made from"):
        run_audited()
    path.write_text(original)
    (AUDIT / "audit.html").write_text("<p>all is well</p>")
    with pytest.raises(UserError, match=r"audit\.html is missing or was changed"):
        run_audited()
    (AUDIT / "audit.html").write_text("<p>PASS</p>")
    assert run_audited().promoted


def test_an_audit_of_another_bundle_is_refused(workplace: Path) -> None:
    make_audited()
    other = bundles.evaluate(bundles.write(Path("other"), weight=9.0), Path("elsewhere"), bits_per_char=1.3)
    bundles.audit(other, AUDIT, audit_gap=0.01)
    with pytest.raises(UserError, match=r"audit\.json speaks of another bundle"):
        run_audited()


def test_of_two_candidates_judged_against_the_same_champion_the_second_is_refused(workplace: Path) -> None:
    make_candidate(weight=2.0)
    second = workplace / "second"
    for folder in (EXPORT, EVALUATE, GATE):
        second.mkdir(exist_ok=True)
        folder.rename(second / folder.name)
    make_candidate(weight=3.0)
    run_promote()
    with pytest.raises(UserError, match="is version 1, the gate saw none: run gate again"):
        run_promote(folder=second)
    assert not (second / OUT).exists()


def test_two_promotions_at_once_wait_for_each_other_and_make_one_version(workplace: Path) -> None:
    make_candidate()
    codes = [in_child(run_promote) for _ in range(2)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in codes] == [0, 0]
    assert champion_now().version == "1"
    assert len(connect().search_model_versions("name = 'music'")) == 1


MOMENTS = (
    (False, "log_artifacts", "after"),
    (False, "create_registered_model", "after"),
    (False, "set_registered_model_alias", "before"),
    (True, "log_artifacts", "before"),
    (True, "create_model_version", "after"),
    (True, "set_registered_model_alias", "before"),
    (True, "set_registered_model_alias", "after"),
)
"""Whether there was a champion, and the call of MLflow's client before or after which the process dies."""


@pytest.mark.parametrize(("with_champion", "call", "moment"), MOMENTS)
def test_killed_anywhere_the_alias_is_old_or_new_and_the_next_run_finishes(
    workplace: Path, with_champion: bool, call: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _promotedin_child(weight=2.0) if with_champion else None

    def killed() -> None:
        make_candidate(weight=3.0)
        _kill_at(monkeypatch, call, moment)
        run_promote()

    status = os.waitpid(in_child(killed), 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    new = Bundle.open(EXPORT).digest
    found = champion_version(connect(), "music")
    if (call, moment) == ("set_registered_model_alias", "after"):
        assert found is not None
        assert found.tags["model_digest"] == new
    else:
        assert (found.tags["model_digest"] if found else None) == old
    assert run_promote().promoted
    assert champion_now().model_digest == new
    assert len(connect().search_model_versions("name = 'music'")) == (2 if with_champion else 1)


def _promotedin_child(weight: float) -> str:
    def work() -> None:
        make_candidate(weight)
        run_promote()

    assert os.waitpid(in_child(work), 0)[1] == 0
    return Bundle.open(EXPORT).digest


def _kill_at(monkeypatch: pytest.MonkeyPatch, call: str, moment: str) -> None:
    original = getattr(MlflowClient, call)

    def kill(*arguments: object, **options: object) -> None:
        if moment == "after":
            original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(MlflowClient, call, kill)


def in_child(work: Callable[[], object]) -> int:
    """Runs `work` in a process of its own, forked because MLflow takes seconds to import; returns its pid.

    This process must not have opened the test's database before: a connection does not survive a fork.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def test_rolling_back_moves_the_alias_to_an_earlier_version_and_only_to_a_whole_one(workplace: Path) -> None:
    first = make_candidate(weight=2.0)
    run_promote()
    make_candidate(weight=3.0)
    assert run_promote().version == "2"
    assert roll_back(LAB, "1") == "3"
    assert roll_back(LAB, "3") == "3", "it is the champion already"
    assert champion_now().model_digest == first.digest
    with pytest.raises(UserError, match="no version 7"):
        roll_back(LAB, "7")
    version = connect().get_model_version("music", "2")
    assert version.source
    (Path(version.source) / "step.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"step\.onnx"):
        roll_back(LAB, "2")
    assert champion_now().version == "3"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/music@champion", "no such model"),
        ("models:/music/3", "no such model"),
        ("models:/music", "no model's address"),
        ("models:/../x@champion", "no model's address"),
        ("file:///etc", "no model's address"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(workplace: Path, uri: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch_model(uri, Path("served"))
    assert not Path("served").exists()


def test_fetching_without_a_database_does_not_make_one(workplace: Path) -> None:
    Path("mlflow.db").unlink()
    with pytest.raises(UserError, match=r"there is no .*mlflow\.db"):
        fetch_model("models:/music@champion", Path("served"))
    assert not Path("mlflow.db").exists()


def test_the_decision_keeps_which_champion_it_saw(workplace: Path) -> None:
    make_candidate()
    run_promote()
    make_candidate(weight=3.0)
    decision = Decision.model_validate(json.loads((GATE / "decision.json").read_text()))
    assert decision.champion is not None
    assert decision.champion.version == "1"


def make_champion_old() -> None:
    """Makes the champion one that the version of this code before bundles of schema 2 promoted."""
    found = champion_version(connect(), "music")
    assert found is not None
    assert found.source
    folder = Path(found.source)
    manifest = json.loads((folder / "bundle.json").read_text())
    write_json(folder / "bundle.json", {**manifest, "schema_version": 1})
    decision = json.loads((folder / "decision.json").read_text())
    del decision["reference_models"]
    write_json(folder / "decision.json", {**decision, "instruments": {}})
    with pytest.raises(BundleError, match="exported by an older version of this code: export the model again") as old:
        Bundle.open(folder)
    assert "\n" not in str(old.value)


def test_a_champion_of_an_older_version_of_this_code_is_compared_with_nothing_and_replaced(
    workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_candidate(bits_per_char=1.0)
    run_promote()
    make_champion_old()
    assert not champion_now().readable
    new = bundles.write(EXPORT, weight=3.0)
    bundles.evaluate(new, EVALUATE, bits_per_char=1.3)
    regressing = PARAMS.model_copy(update={"gate": Gate(metrics={"bits_per_char": Bound(max=1.4, max_regression=0.0)})})
    decision = gate(LAB, regressing, EVALUATE, GATE)
    assert decision.verdict is Verdict.PASS
    old = "champion version 1 was measured by an older version of this code, or is not signed"
    assert f"{old}: regression is not judged" in decision.reasons
    assert "champion version 1 of music cannot be compared with" in caplog.text
    assert run_promote().version == "2"
    assert champion_now().readable
    assert champion_now().model_digest == new.digest


def test_new_data_of_another_dataset_leaves_a_candidate_comparable_with_its_champion(workplace: Path) -> None:
    Path("data.dvc").write_text("outs: []\n")
    for name in ("music", "digits"):
        (workplace / "data" / name).mkdir(parents=True)
        (workplace / "data" / name / "file").write_text(name)
        accept_data(workplace, name, "course")

    def candidate(weight: float, bits_per_char: float) -> Decision:
        made_from = provenance(LAB, PARAMS, DatasetParams(profile="course", limit=0), workplace)
        bundles.evaluate(
            bundles.write(EXPORT, weight=weight, provenance=made_from), EVALUATE, bits_per_char=bits_per_char
        )
        gates = Gate(metrics={"bits_per_char": Bound(max=1.4, max_regression=0.0)})
        return gate(LAB, PARAMS.model_copy(update={"gate": gates}), EVALUATE, GATE)

    candidate(2.0, 1.2)
    run_promote()
    (workplace / "data/digits/more").write_text("a new file")
    accept_data(workplace, "digits", "course")
    worse = candidate(3.0, 1.3)
    assert worse.reasons[0].startswith("bits_per_char 1.3 is worse than 1.2, champion version 1's")
    (workplace / "data/music/more").write_text("a new tune")
    accept_data(workplace, "music", "course")
    assert "champion version 1 was measured on other data: regression is not judged" in candidate(3.0, 1.3).reasons

"""The step audit judges what would be served, beside the champion, and leaves nothing half done."""

from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path

import pytest

from components.bundle import Bundle, Candidate
from components.errors import BundleError, UserError
from components.files import sha256_file
from components.labs import AuditContext, Inputs
from components.records import AuditFindings, AuditReport, ChampionSeen, Requirement, Verdict
from components.steps.audit import audit
from components.steps.gate import gate
from components.steps.promote import Folders, promote
from components.tracking.journal import Run
from tests.components import bundles
from tests.components.steps.test_gate import LAB, PARAMS, Audited
from tests.components.steps.test_promote import make_champion_old


class Auditing(Audited):
    """A lab whose audit says what it is told to, and remembers whom it was shown."""

    def __init__(self, verdict: Verdict = Verdict.PASS, **metrics: float) -> None:
        self.verdict, self.metrics = verdict, metrics
        self.candidate: Candidate | None = None
        self.champion: Candidate | None = None

    def audit(self, context: AuditContext) -> AuditFindings:
        self.candidate, self.champion = context.candidate, context.champion
        (context.out / "audit.html").write_text("<p>looked at</p>")
        requirements = (
            Requirement(name="fine", verdict=Verdict.PASS, reason="this is fine"),
            Requirement(name="gap", verdict=self.verdict, reason="the gap is what it is"),
        )
        return AuditFindings(metrics=self.metrics, requirements=requirements, details={"version": 1})


def candidate(weight: float = 2.0, bits_per_char: float = 1.3) -> Bundle:
    bundle = bundles.write(Path("export"), weight=weight)
    bundles.evaluate(bundle, Path("evaluate"), bits_per_char=bits_per_char)
    return bundle


def run(lab: Auditing) -> AuditReport:
    return audit(lab, PARAMS, Inputs(Path("prepare")), Path("export"), Path("evaluate"), Path("audit"))


def make_champion(lab: Auditing) -> None:
    run(lab)
    gate(lab, PARAMS, Path("evaluate"), Path("gate"), Path("audit"))
    journal = Run.open("music promote", None, {})
    made = Folders(Path("export"), Path("evaluate"), Path("gate"), Path("audit"))
    assert promote(lab, PARAMS, made, Path("promote"), run=journal).promoted


def test_the_audit_names_its_model_and_every_report_beside_it(workplace: Path) -> None:
    bundle = candidate()
    run(Auditing(recall_gap=0.02))
    written = AuditReport.model_validate(json.loads(Path("audit/audit.json").read_text()))
    assert written.schema_version == 1
    assert written.model_digest == bundle.digest
    assert written.provenance == bundle.manifest.provenance
    assert written.verdict is Verdict.PASS
    assert written.champion is None
    assert written.details == {"version": 1}
    assert written.files == {"audit.html": sha256_file(Path("audit/audit.html"))}
    assert json.loads(Path("audit/details.json").read_text()) == {"recall_gap": 0.02}


def test_the_worst_requirement_is_the_verdict_and_is_said_loudly(
    workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    candidate()
    with caplog.at_level(logging.WARNING):
        assert run(Auditing(Verdict.INSUFFICIENT)).verdict is Verdict.INSUFFICIENT
    assert "the audit says INSUFFICIENT: the gap is what it is" in caplog.text


def test_the_candidate_is_compared_with_the_champion_as_it_is_served(workplace: Path) -> None:
    old = candidate()
    make_champion(Auditing())
    candidate(weight=3.0, bits_per_char=1.2)
    lab = Auditing()
    report = run(lab)
    assert lab.champion is not None
    assert lab.champion.bundle.digest == old.digest
    assert lab.champion.evaluation.metrics == {"bits_per_char": 1.3}
    assert report.champion == ChampionSeen(version="1", model_digest=old.digest)


def test_a_model_has_the_same_audit_before_and_after_it_becomes_the_champion(workplace: Path) -> None:
    candidate()
    lab = Auditing()
    run(lab)
    first = Path("audit/audit.json").read_bytes()
    make_champion(Auditing())
    run(lab)
    assert lab.champion is None
    assert Path("audit/audit.json").read_bytes() == first
    gate(lab, PARAMS, Path("evaluate"), Path("gate"), Path("audit"))


def test_an_audit_beside_another_champion_than_there_is_now_is_refused_by_the_gate(workplace: Path) -> None:
    candidate()
    make_champion(Auditing())
    candidate(weight=3.0, bits_per_char=1.2)
    run(Auditing())  # beside the first
    shutil.move("audit", "of_the_second")
    candidate(weight=4.0, bits_per_char=1.2)
    make_champion(Auditing())
    candidate(weight=3.0, bits_per_char=1.2)
    with pytest.raises(UserError, match="beside another champion"):
        gate(Auditing(), PARAMS, Path("evaluate"), Path("gate"), Path("of_the_second"))


def test_a_champion_of_other_data_is_no_yardstick(workplace: Path) -> None:
    candidate()
    make_champion(Auditing())
    provenance = bundles.PROVENANCE.model_copy(update={"data_version": "9" * 32})
    bundles.evaluate(
        bundles.write(Path("export"), weight=3.0, provenance=provenance), Path("evaluate"), bits_per_char=1
    )
    lab = Auditing()
    report = run(lab)
    assert lab.champion is None
    assert report.champion is not None
    assert report.champion.version == "1"


def test_an_evaluation_of_another_bundle_is_refused(workplace: Path) -> None:
    candidate()
    bundles.write(Path("export"), weight=9.0)
    with pytest.raises(UserError, match="speaks of another bundle"):
        run(Auditing())


def test_a_damaged_bundle_is_never_audited(workplace: Path) -> None:
    candidate()
    Path("export/step.onnx").write_bytes(b"no model")
    lab = Auditing()
    with pytest.raises(BundleError):
        run(lab)
    assert lab.candidate is None


def test_a_metric_that_is_no_number_is_an_error_and_the_old_audit_stays(workplace: Path) -> None:
    candidate()
    run(Auditing(recall_gap=0.02))
    with pytest.raises(UserError, match="recall_gap is nan"):
        run(Auditing(recall_gap=math.nan))
    assert json.loads(Path("audit/details.json").read_text()) == {"recall_gap": 0.02}


def test_a_lab_without_an_audit_says_so(workplace: Path) -> None:
    candidate()
    with pytest.raises(UserError, match="the lab music has no audit"):
        audit(LAB, PARAMS, Inputs(Path("prepare")), Path("export"), Path("evaluate"), Path("audit"))


def test_a_champion_of_an_older_version_of_this_code_is_named_and_not_compared_with(workplace: Path) -> None:
    old = candidate()
    make_champion(Auditing())
    make_champion_old()
    candidate(weight=3.0)
    lab = Auditing()
    report = run(lab)
    assert lab.champion is None
    assert report.champion == ChampionSeen(version="1", model_digest=old.digest)
    assert gate(lab, PARAMS, Path("evaluate"), Path("gate"), Path("audit")).verdict is Verdict.PASS
    make_champion(lab)

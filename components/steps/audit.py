"""Audit a lab's candidate as it would be served, beside the champion, and say which model was audited."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.bundle import Bundle, Candidate
from components.config import LabParams
from components.errors import BundleError, UserError
from components.files import output_folder, sha256_file, write_json
from components.labs import AuditContext, Inputs, Lab
from components.records import AuditReport, ChampionSeen, EvaluationReport, Verdict, read_record
from components.steps.evaluate import headline
from components.tracking import registry
from components.tracking.mlflow_client import connect

log = logging.getLogger(__name__)


def audit(lab: Lab, params: LabParams, inputs: Inputs, bundle: Path, evaluation: Path, out: Path) -> AuditReport:
    """Judges the verified bundle with its evaluation; writes audit.json, metrics.json and the lab's reports into `out`.

    A FAIL or INSUFFICIENT is a result, which the gate reads. Raises UserError for a lab without an audit, an evaluation
    of another bundle and a metric that is no number; BundleError for a bundle that must not be used.
    """
    if not lab.audited:
        raise UserError(f"the lab {lab.name} has no audit: its gate reads the evaluation alone")
    candidate = _candidate(lab, bundle, evaluation / "evaluation.json")
    with _champion(lab.name, candidate) as (seen, champion), output_folder(out) as folder:
        findings = lab.audit(AuditContext(candidate, champion, inputs, folder, params.audit))
        for name, value in findings.metrics.items():
            if not math.isfinite(value):
                raise UserError(f"{lab.name}: the audited metric {name} is {value}: the model is broken")
        files = {path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file()}
        report = AuditReport.of_audit(candidate.evaluation, findings, seen, files)
        write_json(folder / "audit.json", report.model_dump(mode="json"))
        write_json(folder / "metrics.json", headline(lab, report.metrics))
        write_json(folder / "details.json", report.metrics)
    if report.verdict is Verdict.PASS:
        log.info("%s: the audit says PASS; see %s", lab.name, out)
    else:
        deciding = (found.reason for found in report.requirements if found.verdict == report.verdict)
        log.warning("%s: the audit says %s: %s", lab.name, report.verdict, "; ".join(deciding))
    return report


def _candidate(lab: Lab, bundle: Path, evaluation: Path) -> Candidate:
    opened = Bundle.open(bundle, lab.name)
    report = read_record(evaluation, EvaluationReport)
    if report.model_digest != opened.digest:
        raise UserError(f"{evaluation} speaks of another bundle than {bundle}: run evaluate again")
    return Candidate(opened, report)


@contextmanager
def _champion(lab: str, candidate: Candidate) -> Iterator[tuple[ChampionSeen | None, Candidate | None]]:
    """Who the champion is beside the candidate, and its bundle where it can be compared.

    It can't where it was made from other data: it may have learned the audit's pictures. The candidate itself is no
    champion beside it: so an audit says the same of a model before and after its promotion, and in every registry.
    """
    mlflow = connect()
    version = registry.champion_version(mlflow, lab)
    if version is None:
        yield None, None
        return
    with tempfile.TemporaryDirectory(prefix="champion-") as temporary:
        folder = registry.download(mlflow, version, Path(temporary))
        try:
            bundle = Bundle.open(folder)
        except BundleError as error:
            log.warning("champion version %s cannot be compared with: %s", version.version, error)
            yield ChampionSeen(version=str(version.version), model_digest=version.tags["model_digest"]), None
            return
        seen = ChampionSeen(version=str(version.version), model_digest=bundle.digest)
        theirs, ours = bundle.manifest.provenance, candidate.evaluation.provenance
        if bundle.digest == candidate.bundle.digest:
            yield None, None
        elif theirs.data_version != ours.data_version:
            yield seen, None
        else:
            yield seen, Candidate(bundle, read_record(folder / "evaluation.json", EvaluationReport))

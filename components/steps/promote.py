"""Make the candidate the champion: register its bundle and move one alias, if the decision allows it."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from components.bundle import Bundle
from components.errors import UserError
from components.files import output_folder, sha256_file, write_json
from components.labs import Lab
from components.records import AuditReport, Decision, EvaluationReport, Promotion, Provenance, read_record
from components.tracking import registry
from components.tracking.journal import JOURNALS, Run
from components.tracking.mlflow_client import connect, failures_named
from components.tracking.upload import mlflow_run, upload

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


def promote(
    lab: Lab, bundle: Path, evaluation: Path, decision: Path, out: Path, *, run: Run, audit: Path | None = None
) -> Promotion:
    """Moves the alias `champion` to this bundle and writes promotion.json into `out`.

    The registered version is the bundle with all that was said of it, as artifacts of `run`. A blocked decision is
    recorded and moves nothing; nor does a bundle that is the champion already. Killed anywhere, the alias points at
    the old version or the new one. Raises UserError when evaluation, decision or audit speak of another bundle, a
    waiver has run out, or the champion is not the one that the gate saw; MlflowError on an outage.
    """
    candidate = Bundle.open(bundle)
    decided = read_record(decision / "decision.json", Decision)
    records = _records(lab, candidate, decided, evaluation, decision, audit)
    version = None
    if decided.verdict.allows:
        with _locked(lab.name, run.folder.parent):
            version = _make_champion(candidate, decided, records, run)
    else:
        log.warning("NOT PROMOTED %s: %s: %s", lab.name, decided.verdict, "; ".join(decided.reasons))
    promotion = Promotion.of(decided, version=version)
    with output_folder(out) as folder:
        write_json(folder / "promotion.json", promotion.model_dump(mode="json"))
    return promotion


def roll_back(lab: Lab, version: str, journals: Path = JOURNALS) -> None:
    """Moves the alias `champion` to a version promoted earlier. Raises UserError when it is none, or is damaged."""
    with _locked(lab.name, journals):
        mlflow = connect()
        found = registry.get_version(mlflow, lab.name, version)
        if found is None:
            raise UserError(f"{lab.name} has no version {version}: its versions are in MLflow's page of the model")
        with tempfile.TemporaryDirectory() as folder:
            Bundle.open(registry.download(mlflow, found, Path(folder)))
        _move_alias(mlflow, lab.name, version)
    log.info("%s: version %s is the champion again", lab.name, version)


def _records(
    lab: Lab, candidate: Bundle, decided: Decision, evaluation: Path, decision: Path, audit: Path | None
) -> list[Path]:
    """The files to be kept with the bundle, once they are known to speak of it. Raises UserError."""
    files = [evaluation / "evaluation.json"]
    report = read_record(files[0], EvaluationReport)
    _check_same(candidate, files[0], report.lab, report.model_digest, report.provenance)
    metrics = dict(report.metrics)
    if lab.audited:
        if audit is None:
            raise UserError(f"{lab.name} is promoted with its audit: run `python -m components audit {lab.name}`")
        audited = _audited(candidate, decided, audit / "audit.json")
        metrics |= audited.metrics
        files += [audit / "audit.json", *(audit / name for name in audited.files)]
    path = decision / "decision.json"
    _check_same(candidate, path, decided.lab, decided.model_digest, decided.provenance)
    if decided.metrics != metrics:
        raise UserError(f"{path} was made from other metrics than {files[0]} holds: run gate again")
    if decided.waived_until is not None and datetime.now(UTC).date() > decided.waived_until:
        raise UserError(f"{path}: a waiver ran out on {decided.waived_until}: run gate again")
    return [*files, path]


def _audited(candidate: Bundle, decided: Decision, path: Path) -> AuditReport:
    """The audit that the decision was made from, with its reports as it left them. Raises UserError."""
    report = read_record(path, AuditReport)
    _check_same(candidate, path, report.lab, report.model_digest, report.provenance)
    if sha256_file(path) != decided.audit:
        raise UserError(f"{path} is not the audit that the decision was made from: run gate again")
    for name, sha256 in report.files.items():
        file = path.parent / name
        if not file.is_file() or sha256_file(file) != sha256:
            raise UserError(f"{file} is missing or was changed after the audit: run audit again")
    return report


def _check_same(candidate: Bundle, file: Path, lab: str, model_digest: str, provenance: Provenance) -> None:
    ours = candidate.manifest
    differing = ["lab"] if lab != ours.lab else []
    differing += ["model_digest"] if model_digest != ours.digest else []
    differing += ours.provenance.differences(provenance)
    if differing:
        raise UserError(
            f"{file} speaks of another bundle than {candidate.folder} ({', '.join(differing)}): run its step again"
        )


def _make_champion(candidate: Bundle, decided: Decision, records: list[Path], run: Run) -> str:
    lab = candidate.manifest.lab
    mlflow = connect()
    current = registry.champion_version(mlflow, lab)
    if current is not None and current.tags.get("model_digest") == candidate.digest:
        log.info("%s: version %s is this model already, nothing moves", lab, current.version)
        return str(current.version)
    seen = decided.champion.version if decided.champion else None
    if seen != (str(current.version) if current else None):
        now = f"version {current.version}" if current else "none"
        raise UserError(f"the champion of {lab} is {now}, the gate saw {seen or 'none'}: run gate again")
    version = _register(mlflow, candidate, decided, records, run)
    _move_alias(mlflow, lab, version)
    log.info("%s: version %s is the champion (%s)", lab, version, decided.verdict)
    return version


def _register(mlflow: MlflowClient, candidate: Bundle, decided: Decision, records: list[Path], run: Run) -> str:
    """The number of a new version that holds bundle and records, or of the one that a killed promotion left."""
    lab = candidate.manifest.lab
    key = hashlib.sha256("".join([candidate.digest, *map(sha256_file, records)]).encode()).hexdigest()
    with failures_named():
        known = mlflow.search_model_versions(f"name = '{lab}' and tags.promotion = '{key}'")
        if known:
            return str(known[0].version)
        run_id = mlflow_run(upload(run.folder.parent), run)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "bundle"
            shutil.copytree(candidate.folder, folder)
            for file in records:
                shutil.copy2(file, folder)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            promotion = Promotion.of(decided, mlflow_run=run_id, promoted_at=now)
            write_json(folder / "promotion.json", promotion.model_dump(mode="json"))
            if Bundle.open(folder).digest != candidate.digest:
                raise UserError(f"{candidate.folder} changed while it was promoted: run promote again")
            mlflow.log_artifacts(run_id, str(folder), "bundle")
        if not mlflow.search_registered_models(f"name = '{lab}'"):
            mlflow.create_registered_model(lab)
        source = f"{mlflow.get_run(run_id).info.artifact_uri}/bundle"
        tags = {"promotion": key, "model_digest": candidate.digest, "verdict": decided.verdict}
        tags |= {name: str(value) for name, value in decided.provenance}
        return str(mlflow.create_model_version(lab, source, run_id, tags).version)


def _move_alias(mlflow: MlflowClient, lab: str, version: str) -> None:
    with failures_named():
        mlflow.set_registered_model_alias(lab, registry.ALIAS, version)
    found = registry.champion_version(mlflow, lab)
    if found is None or str(found.version) != version:
        raise UserError(f"somebody else moved the champion of {lab} at the same moment: run gate again")


@contextmanager
def _locked(lab: str, journals: Path) -> Iterator[None]:
    """One promotion of a lab at a time among those that journal into this folder; the others wait."""
    journals.mkdir(parents=True, exist_ok=True)
    with FileLock(journals / f".promote-{lab}.lock"):
        yield

"""Make the candidate the champion: register its bundle, signed, and move one alias, if the decision allows it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from components.bundle import Bundle
from components.config import LabParams
from components.errors import UserError
from components.files import output_folder, sha256_file, write_json
from components.labs import Lab
from components.promoted import read_served
from components.records import AuditReport, Decision, EvaluationReport, Promotion, Provenance, read_record
from components.signing import sign, signing_key_id
from components.steps.gate import judge
from components.tracking import alias, registry
from components.tracking.journal import JOURNALS, Run
from components.tracking.mlflow_client import connect, failures_named
from components.tracking.upload import mlflow_run, upload

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)


class Folders(NamedTuple):
    """Outputs of the steps before. audit: of an audited lab; reference_models: as the step gate takes them."""

    bundle: Path
    evaluation: Path
    decision: Path
    audit: Path | None = None
    reference_models: Mapping[str, Path] = MappingProxyType({})


def promote(lab: Lab, params: LabParams, made: Folders, out: Path, *, run: Run) -> Promotion:
    """Moves the alias `champion` to this bundle and writes promotion.json into `out`.

    The registered version is the bundle with all that was said of it, signed, as artifacts of `run`. decision.json is
    not believed: the candidate is judged again, and must come to the same. A blocked decision is recorded and moves
    nothing; nor does a bundle that is the champion already. Killed anywhere, the alias points at the old version or
    the new one. Raises UserError when evaluation, decision or audit speak of another bundle, a waiver has run out, or
    the champion is not the one that the gate saw; MlflowError on an outage.
    """
    candidate = Bundle.open(made.bundle)
    decided = read_record(made.decision / "decision.json", Decision)
    records = _records(lab, candidate, decided, made)
    version = None
    if decided.verdict.allows:
        with _locked(lab.name, run.folder.parent):
            version = _make_champion(lab, params, candidate, decided, made, records, run)
    else:
        log.warning("NOT PROMOTED %s: %s: %s", lab.name, decided.verdict, "; ".join(decided.reasons))
    promotion = Promotion.of(decided, version=version)
    with output_folder(out) as folder:
        write_json(folder / "promotion.json", promotion.model_dump(mode="json"))
    return promotion


def roll_back(lab: Lab, version: str, journals: Path = JOURNALS) -> str:
    """Makes a version promoted earlier the champion again and returns the number of the new version that it becomes.

    Raises UserError when there is none, or it would not be served: damaged, not signed, or its waiver has run out.
    """
    with _locked(lab.name, journals):
        mlflow = connect()
        current = registry.champion_version(mlflow, lab.name)
        found = registry.get_version(mlflow, lab.name, version)
        if found is None:
            raise UserError(f"{lab.name} has no version {version}: its versions are in MLflow's page of the model")
        with tempfile.TemporaryDirectory() as folder:
            served = read_served(registry.download(mlflow, found, Path(folder)))
        if served.lab != lab.name:
            raise UserError(f"version {version} of {lab.name} holds a model of {served.lab}: it was changed afterwards")
        if served.unpromoted:
            raise UserError(f"version {version} of {lab.name} does not count as promoted: {served.unpromoted}")
        if current is not None and alias.number(current) == alias.number(found):
            log.info("%s: version %s is the champion already, nothing moves", lab.name, version)
            return version
        if alias.next_version(mlflow, lab.name, current) != alias.number(found):
            found = alias.register_again(mlflow, found, current)
        alias.move(mlflow, found, current)
    log.info("%s: version %s is the champion again, as version %s", lab.name, version, found.version)
    return str(found.version)


def _records(lab: Lab, candidate: Bundle, decided: Decision, made: Folders) -> list[Path]:
    """The files to be kept with the bundle, once they are known to speak of it. Raises UserError."""
    path, files = made.decision / "decision.json", [made.evaluation / "evaluation.json"]
    report = read_record(files[0], EvaluationReport)
    _check_same(candidate, files[0], report.lab, report.model_digest, report.provenance)
    if lab.audited:
        if made.audit is None:
            raise UserError(f"{lab.name} is promoted with its audit: run `python -m components audit {lab.name}`")
        audited = _audited(candidate, decided, made.audit / "audit.json")
        files += [made.audit / "audit.json", *(made.audit / name for name in audited.files)]
    _check_same(candidate, path, decided.lab, decided.model_digest, decided.provenance)
    if sha256_file(files[0]) != decided.evaluation:
        raise UserError(f"{files[0]} is not the evaluation that the decision was made from: run gate again")
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


def _make_champion(
    lab: Lab, params: LabParams, candidate: Bundle, decided: Decision, made: Folders, records: list[Path], run: Run
) -> str:
    mlflow = connect()
    current = registry.champion_version(mlflow, lab.name)
    tags = _tags(decided)
    if current is not None and all(current.tags.get(name) == value for name, value in tags.items()):
        log.info("%s: version %s is this model already, nothing moves", lab.name, current.version)
        return str(current.version)
    seen = decided.champion.version if decided.champion else None
    if seen != (str(current.version) if current else None):
        now = f"version {current.version}" if current else "none"
        raise UserError(f"the champion of {lab.name} is {now}, the gate saw {seen or 'none'}: run gate again")
    again = judge(lab, params, made.evaluation, made.audit, made.reference_models)
    if not _same(again.model_copy(update={"provenance": decided.provenance}), decided):  # commits may differ
        raise UserError(
            f"{made.decision / 'decision.json'} says {decided.verdict}, and is not what its evaluation comes to, which "
            f"is {again.verdict} ({again.reasons[0]}): run gate again"
        )
    version = _registered(mlflow, candidate, decided, records, run, {**tags, alias.AFTER: alias.after(current)})
    alias.move(mlflow, version, current)
    log.info("%s: version %s is the champion (%s)", lab.name, version.version, decided.verdict)
    return str(version.version)


def _same(one: Decision | None, other: Decision) -> bool:
    """As they are written, in whatever order: a figure that is not a number equals itself there, and nowhere else."""
    written = [json.dumps(decision.model_dump(mode="json"), sort_keys=True) for decision in (one, other) if decision]
    return len(written) == 2 and written[0] == written[1]


def _tags(decided: Decision) -> dict[str, str]:
    """What MLflow's page says of a version, and what tells whether promoting it once more would change anything."""
    until = {"waived_until": str(decided.waived_until)} if decided.waived_until else {}
    told = {"model_digest": decided.model_digest, "verdict": decided.verdict, "signed_by": signing_key_id()}
    # The same model measured anew may be served with another threshold, and be compared with other references.
    return told | {"evaluation": str(decided.evaluation)} | until


def _registered(
    mlflow: MlflowClient,
    candidate: Bundle,
    decided: Decision,
    records: list[Path],
    run: Run,
    tags: Mapping[str, str],
) -> ModelVersion:
    """A new version that holds bundle and records, or the one that a killed promotion left."""
    lab = candidate.manifest.lab
    stated = [candidate.digest, tags["signed_by"], tags[alias.AFTER], *map(sha256_file, records)]
    key = hashlib.sha256("".join(stated).encode()).hexdigest()
    with failures_named():
        known = mlflow.search_model_versions(f"name = '{lab}' and tags.promotion = '{key}'")
        if known:
            return min(known, key=alias.number)
        run_id = mlflow_run(upload(run.folder.parent), run)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "bundle"
            shutil.copytree(candidate.folder, folder)
            for file in records:
                shutil.copy2(file, folder)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            promotion = Promotion.of(decided, mlflow_run=run_id, promoted_at=now)
            write_json(folder / "promotion.json", promotion.model_dump(mode="json"))
            sign(folder, decided.verdict)
            served = read_served(folder)
            if served.unpromoted or served.bundle.digest != candidate.digest or not _same(served.decision, decided):
                raise UserError(f"{candidate.folder} changed while it was promoted: run promote again")
            mlflow.log_artifacts(run_id, str(folder), "bundle")
        alias.make_model(mlflow, lab)
        source = f"{mlflow.get_run(run_id).info.artifact_uri}/bundle"
        told = {**tags, "promotion": key, **{name: str(value) for name, value in decided.provenance}}
        return mlflow.create_model_version(lab, source, run_id, told)


@contextmanager
def _locked(lab: str, journals: Path) -> Iterator[None]:
    """One promotion of a lab at a time among those that journal into this folder; the others wait."""
    journals.mkdir(parents=True, exist_ok=True)
    with FileLock(journals / f".promote-{lab}.lock"):
        yield

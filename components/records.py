"""What is written about a model: its provenance, evaluation, audit, decision and promotion."""

from __future__ import annotations

import math
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, ValidationError

from components.drift import Reference
from components.errors import UserError, shown
from components.files import Sha256, read_json

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


Measured = Annotated[float, PlainSerializer(_number, when_used="json")]
"""JSON has no NaN, and one that was measured must not get lost: it is written as a string."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


RecordT = TypeVar("RecordT", bound=Record)

COMPARED = ("data_version", "data_profile", "params_hash", "code_hash")
"""Fields of a provenance that say whether two models were made from the same things."""


class Provenance(BaseModel):
    """Recorded in the bundle and in everything that is said of it. The commit is recorded, the rest is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    git_commit: str
    git_dirty: bool
    data_version: str
    data_profile: str
    params_hash: str
    code_hash: str

    def differences(self, other: Provenance) -> list[str]:
        """Names of the compared fields in which both differ."""
        return [name for name in COMPARED if getattr(self, name) != getattr(other, name)]


class Evaluation(Record):
    """What a lab measured on a bundle.

    metrics: by the names that gates use.  counts: over how many items each was measured.
    variants: metrics of each graph.  serve: what evaluation chose for serving, such as the variant or a threshold.
    limitations: sentences, with the measured values that say so, for those who use the model.
    drift_references: what requests are compared with, by feature.
    """

    metrics: dict[str, Measured]
    counts: dict[str, int] = {}
    variants: dict[str, dict[str, Measured]] = {}
    serve: dict[str, Any] = {}
    limitations: tuple[str, ...] = ()
    drift_references: dict[str, Reference] = {}


class EvaluationReport(Evaluation):
    """evaluation.json: an evaluation, and of which model it speaks.

    reference_models: digests of the other labs' models that it was measured with.
    """

    lab: str
    model_digest: Sha256
    provenance: Provenance
    reference_models: dict[str, Sha256] = {}


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105
    WAIVED = "WAIVED"
    INSUFFICIENT = "INSUFFICIENT"
    """Not measured, or on too little: says nothing against the model, and blocks it."""
    FAIL = "FAIL"

    @property
    def allows(self) -> bool:
        return self in (Verdict.PASS, Verdict.WAIVED)


WORST_FIRST = (Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.WAIVED, Verdict.PASS)


class Requirement(Record):
    """One thing that an audit asked of a model, and the answer. A waiver calls it `audit.<name>`."""

    name: str
    verdict: Verdict
    reason: str


class AuditFindings(Evaluation):
    """What a lab's audit found. details: the lab's own record of it (JSON-able)."""

    requirements: tuple[Requirement, ...] = Field(min_length=1)
    details: dict[str, Any]


class ChampionSeen(Record):
    """Which champion a decision was made against."""

    version: str
    model_digest: str


class Champion(Record):
    """The registered version that a candidate is compared with, and what was measured of it.

    readable: whether its records are of this version of the code; those of an older one can be compared with nothing.
    """

    version: str
    model_digest: str
    data_version: str
    metrics: dict[str, float]
    reference_models: dict[str, Sha256] = Field(default_factory=dict)
    readable: bool = True


class AuditReport(EvaluationReport):
    """audit.json: an audit, of which model it speaks, and what it read.

    serve is the evaluation's: the audit judges the graph and the threshold that would be served.
    champion: whom the candidate was compared with.  files: the reports beside audit.json, by name.
    """

    schema_version: Literal[1] = 1
    verdict: Verdict
    requirements: tuple[Requirement, ...]
    champion: ChampionSeen | None
    files: dict[FileName, Sha256]
    details: dict[str, Any]

    @classmethod
    def of_audit(
        cls, evaluation: EvaluationReport, audit: AuditFindings, champion: ChampionSeen | None, files: dict[str, str]
    ) -> AuditReport:
        return cls(
            lab=evaluation.lab,
            model_digest=evaluation.model_digest,
            provenance=evaluation.provenance,
            reference_models=evaluation.reference_models,
            verdict=min((found.verdict for found in audit.requirements), key=WORST_FIRST.index),
            champion=champion,
            files=files,
            **{**audit.model_dump(), "serve": evaluation.serve},
        )


class Decision(Record):
    """decision.json. reasons: a line for every metric, worst first. waived_until: last day of a WAIVED verdict.

    evaluation: sha256 of the evaluation.json that was read, None in a decision of before it was kept.
    audit: the same of audit.json, None for a lab that is not audited.
    reference_models: digests of the other labs' models that the candidate was measured with.
    """

    lab: str
    verdict: Verdict
    reasons: tuple[str, ...]
    waived_until: date | None
    model_digest: str
    provenance: Provenance
    champion: ChampionSeen | None
    metrics: dict[str, Measured]
    evaluation: Sha256 | None = None
    audit: Sha256 | None = None
    reference_models: dict[str, Sha256] = Field(default_factory=dict)


class Promotion(Record):
    """promotion.json, of the step and in the registered bundle.

    The step's names the version and neither run nor time, so that it is the same however often it is made. The
    registered one, written before there is a version, names the MLflow run that holds it and when that was.
    """

    lab: str
    promoted: bool
    verdict: Verdict
    reasons: tuple[str, ...]
    model_digest: str
    version: str | None = None
    mlflow_run: str | None = None
    promoted_at: str | None = None

    @classmethod
    def of(cls, decision: Decision, **details: str | None) -> Promotion:
        return cls(
            lab=decision.lab,
            promoted=decision.verdict.allows,
            verdict=decision.verdict,
            reasons=decision.reasons,
            model_digest=decision.model_digest,
            **details,
        )


def read_record(path: Path, kind: type[RecordT]) -> RecordT:
    """Reads evaluation.json and the like. Raises UserError naming the file and the first wrong key."""
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {shown('.'.join(map(str, first['loc'])))}: {first['msg']}; make it again") from None

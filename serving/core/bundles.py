"""Which bundle is served, and what says that it may be: read once, at the start, and refused whole or not at all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from components.bundle import Bundle
from components.errors import UserError
from components.files import sha256_file
from components.labs import find
from components.records import AuditReport, Decision, EvaluationReport, Promotion, read_record

log = logging.getLogger(__name__)

RecordT = TypeVar("RecordT", EvaluationReport, Decision, Promotion, AuditReport)

REGISTRY = "models:/"


@dataclass(frozen=True)
class Served:
    """A verified bundle and the records beside it; None where there is none that speaks of this very model."""

    bundle: Bundle
    evaluation: EvaluationReport | None
    decision: Decision | None
    promotion: Promotion | None
    audit: AuditReport | None = None
    """The audit of an audited lab; its reports lie in the bundle's folder, as it left them."""

    @property
    def lab(self) -> str:
        return self.bundle.manifest.lab

    @property
    def variant(self) -> str:
        """The variant of the model's graphs that evaluation chose; without an evaluation the bundle's first."""
        chosen = self.evaluation.serve.get("variant") if self.evaluation else None
        variant: str = chosen or self.bundle.spec["variants"][0]
        return variant

    @property
    def version(self) -> str:
        """First twelve digits of the bundle's digest."""
        return self.bundle.digest[:12]

    @property
    def unpromoted(self) -> str:
        """Why the bundle does not count as promoted; "" when it does."""
        if self.evaluation is None or self.decision is None or self.promotion is None:
            return "evaluation.json, decision.json and promotion.json beside it must all speak of this very model"
        if self.decision.audit is None and find(self.lab).audited:
            return "its decision was made without an audit"
        if self.decision.audit is not None and self.audit is None:
            return "its audit is missing, was changed after the decision, or speaks of another model"
        allowed = self.decision.verdict.allows and self.promotion.promoted
        return "" if allowed else f"its gate said {self.decision.verdict}"


@contextmanager
def open_bundle(reference: str, labs: tuple[str, ...], allow_unpromoted: bool) -> Iterator[Served]:
    """A bundle: a folder, or a model of MLflow's registry (models:/music@champion), downloaded for the while.

    Raises UserError when it is damaged, of none of these labs, not to be had, or not promoted and not allowed to be.
    """
    with _folder(reference) as folder:
        served = read_served(folder)
        if served.lab not in labs:
            raise UserError(f"{reference} is a bundle of the lab {served.lab}; this serves {' and '.join(labs)}")
        if served.unpromoted:
            if not allow_unpromoted:
                raise UserError(
                    f"{reference} is not promoted: {served.unpromoted}; promote it (`python -m components promote "
                    f"{served.lab}`), or serve it as it is with --allow-unpromoted"
                )
            log.warning("serving an unpromoted bundle: %s", served.unpromoted)
        yield served


def read_served(folder: Path) -> Served:
    """A bundle's folder with the records in it. Raises UserError when it is damaged."""
    bundle = Bundle.open(folder)
    decision = _read(bundle, "decision.json", Decision)
    return Served(
        bundle,
        _read(bundle, "evaluation.json", EvaluationReport),
        decision,
        _read(bundle, "promotion.json", Promotion),
        _audit(bundle, decision),
    )


@contextmanager
def _folder(reference: str) -> Iterator[Path]:
    if not reference.startswith(REGISTRY):
        yield Path(reference)
        return
    from components.tracking.registry import fetch_model  # MLflow takes seconds to load: only who asks for it waits

    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        yield fetch_model(reference, Path(folder) / "bundle")


def _audit(bundle: Bundle, decision: Decision | None) -> AuditReport | None:
    """The audit that the decision was made from, if it and all its reports are as they were then."""
    path = bundle.folder / "audit.json"
    if decision is None or not path.is_file() or sha256_file(path) != decision.audit:
        return None
    report = _read(bundle, "audit.json", AuditReport)
    for name, sha256 in (report.files if report else {}).items():
        file = bundle.folder / name
        if not file.is_file() or sha256_file(file) != sha256:
            return None
    return report


def _read(bundle: Bundle, name: str, kind: type[RecordT]) -> RecordT | None:
    path = bundle.folder / name
    record = read_record(path, kind) if path.exists() else None
    return record if record and record.model_digest == bundle.digest else None

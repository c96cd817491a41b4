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
    """Of an audited lab; its reports lie in the bundle's folder, as it left them."""

    @property
    def unpromoted(self) -> str:
        """Why the bundle does not count as promoted; "" when it does."""
        if self.evaluation is None or self.decision is None or self.promotion is None:
            return "evaluation.json, decision.json and promotion.json beside it must all speak of this very model"
        if self.decision.audit is None and find(self.bundle.manifest.lab).audited:
            return "its decision was made without an audit"
        if self.decision.audit is not None and self.audit is None:
            return "its audit is missing, was changed after the decision, or speaks of another model"
        allowed = self.decision.verdict.allows and self.promotion.promoted
        return "" if allowed else f"its gate said {self.decision.verdict}"


@contextmanager
def open_bundle(reference: str, lab: str, allow_unpromoted: bool, also: tuple[str, ...] = ()) -> Iterator[Served]:
    """A bundle: a folder, or a model of MLflow's registry (models:/music@champion), downloaded for the while.

    also: other labs whose bundles will do.

    Raises UserError when it is damaged, another lab's, not to be had, or not promoted and not allowed to be.
    """
    with _folder(reference) as folder:
        bundle = Bundle.open(folder)
        if bundle.manifest.lab not in (lab, *also):
            raise UserError(f"{reference} is a bundle of the lab {bundle.manifest.lab}; this serves {lab}")
        decision = _read(bundle, "decision.json", Decision)
        served = Served(
            bundle,
            _read(bundle, "evaluation.json", EvaluationReport),
            decision,
            _read(bundle, "promotion.json", Promotion),
            _audit(bundle, decision),
        )
        if served.unpromoted:
            if not allow_unpromoted:
                raise UserError(
                    f"{reference} is not promoted: {served.unpromoted}; promote it (`python -m components promote "
                    f"{bundle.manifest.lab}`), or serve it as it is with --allow-unpromoted"
                )
            log.warning("serving an unpromoted bundle: %s", served.unpromoted)
        yield served


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

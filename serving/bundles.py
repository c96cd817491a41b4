"""Which bundle is served, and what says that it may be: read once, at the start, and refused whole or not at all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.bundle import Bundle, EvaluationReport
from components.errors import UserError
from components.files import read_json
from components.promotion import Decision, read_record
from components.settings import settings

log = logging.getLogger(__name__)

REGISTRY = "models:/"


@dataclass(frozen=True)
class Served:
    """A verified bundle, and what is known of it."""

    bundle: Bundle
    evaluation: EvaluationReport | None
    """None: nobody measured this model."""
    unpromoted: str
    """Why the bundle does not count as promoted; "" when it does."""

    @property
    def promoted(self) -> bool:
        return not self.unpromoted


@contextmanager
def open_bundle(reference: str, lab: str, allow_unpromoted: bool) -> Iterator[Served]:
    """A bundle: a folder, or an alias in MLflow's registry (models:/music@champion), downloaded for the while.

    Raises UserError when it is damaged, another lab's, not to be had, or not promoted and not allowed to be.
    """
    with _folder(reference) as folder:
        bundle = Bundle.open(folder)
        if bundle.manifest.lab != lab:
            raise UserError(f"{reference} is a bundle of the lab {bundle.manifest.lab}; this serves {lab}")
        served = Served(bundle, _evaluation(bundle), _why_unpromoted(bundle))
        if not served.promoted:
            if not allow_unpromoted:
                raise UserError(
                    f"{reference} is not promoted: {served.unpromoted}; promote it "
                    f"(`python -m components promote {lab}`), or serve it as it is with --allow-unpromoted"
                )
            log.warning("serving an unpromoted bundle: %s", served.unpromoted)
        yield served


@contextmanager
def _folder(reference: str) -> Iterator[Path]:
    if not reference.startswith(REGISTRY):
        yield Path(reference)
        return
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        yield _download(reference, Path(folder))


def _download(reference: str, folder: Path) -> Path:
    import mlflow  # three seconds: only who serves from a registry waits for it
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(settings().mlflow_tracking_uri)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=reference, dst_path=str(folder)))
    except MlflowException as error:
        where = settings().mlflow_tracking_uri
        raise UserError(f"{reference} is not to be had from {where}: {' '.join(str(error).split())}") from None


def _evaluation(bundle: Bundle) -> EvaluationReport | None:
    path = bundle.folder / "evaluation.json"
    report = read_record(path, EvaluationReport) if path.exists() else None
    return report if report and report.model_digest == bundle.digest else None


def _why_unpromoted(bundle: Bundle) -> str:
    """What keeps a bundle from counting as promoted; "" for nothing."""
    for name in ("evaluation.json", "decision.json", "promotion.json"):
        path = bundle.folder / name
        if not path.exists():
            return f"it has no {name}"
        if read_json(path).get("model_digest") != bundle.digest:
            return f"its {name} is about another model"
    decision = read_record(bundle.folder / "decision.json", Decision)
    return "" if decision.verdict.allows else f"its decision is {decision.verdict}"

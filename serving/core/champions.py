"""Every lab and its champion, loaded for the server of all labs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel, Field

from components.errors import UserError
from components.labs import LABS, find
from components.promoted import Served
from components.settings import settings
from serving.core.backend import Backend
from serving.core.bundles import open_bundle
from serving.core.service import ApiDefinition, backend_of, champion, definition

log = logging.getLogger(__name__)


class LabSummary(BaseModel):
    """What the front page says of a lab."""

    name: str
    about: str
    verdict: str = Field(description="of the gate, on the model that is served; empty where there is none")
    audit: str = Field(description="the audit's verdict; empty where there is none")
    metrics: dict[str, float] = Field(description="at most six, as evaluation measured them on held-out data")
    url: str = Field(description="of its page, relative to the front page; empty where it has none")
    command: str = Field(description="what makes a champion where there is none, else empty")
    problem: str = Field(description="why its champion is not served, else empty")

    @classmethod
    def of(
        cls, lab: str, served: Served | None = None, url: str = "", command: str = "", problem: str = ""
    ) -> LabSummary:
        decision = served.decision if served else None
        audit = served.audit if served else None
        measured = served.evaluation.metrics if served and served.evaluation else {}
        return cls(
            name=lab,
            about=(import_module(f"components.labs.{lab}").__doc__ or "").strip().split("\n")[0],
            verdict=str(decision.verdict) if decision else "",
            audit=str(audit.verdict) if audit else "",
            metrics={name: measured[name] for name in find(lab).headline if name in measured},
            url=url,
            command=command,
            problem=problem,
        )


@dataclass(frozen=True)
class LoadedLab:
    """api, backend: None for a lab that is listed and not served."""

    summary: LabSummary
    api: ApiDefinition | None = None
    backend: Backend | None = None


def load_labs(bundles: Mapping[str, str], allow_unpromoted: bool, params: Path | None) -> Iterator[LoadedLab]:
    """Every lab, with its champion or the bundle that is given for it. A model that cannot be served is listed.

    Raises UserError where a bundle is given for no lab, or the registry does not answer.
    """
    champions = _champions()
    for lab in LABS:
        reference = bundles.get(lab) or (champion(lab) if lab in champions else "")
        if not reference:
            yield LoadedLab(LabSummary.of(lab, command=f"make repro LAB={lab}"))
            continue
        try:
            yield _load(lab, reference, allow_unpromoted, params)
        except UserError as error:
            log.warning("%s is not served: %s", lab, error)
            yield LoadedLab(LabSummary.of(lab, problem=str(error)))


def _load(lab: str, reference: str, allow_unpromoted: bool, params: Path | None) -> LoadedLab:
    declared = find(lab).api
    with open_bundle(reference, (lab,), allow_unpromoted) as served:
        if declared is None:
            return LoadedLab(LabSummary.of(lab, served))
        api = definition(declared.name)
        return LoadedLab(LabSummary.of(lab, served, url=f"{lab}/"), api, backend_of(api, served, params))


def _champions() -> frozenset[str]:
    """The labs that have one. Raises MlflowError on an outage."""
    from components.tracking.mlflow_client import connect, database
    from components.tracking.registry import champion_version

    file = database(settings().mlflow_tracking_uri)
    if file is not None and not file.exists():  # MLflow would make one
        return frozenset()
    mlflow = connect()
    return frozenset(lab for lab in LABS if champion_version(mlflow, lab))

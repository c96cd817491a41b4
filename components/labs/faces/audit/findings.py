"""The content of the audit's reports."""

from __future__ import annotations

from dataclasses import dataclass

from components.bundle import Candidate
from components.labs.faces.audit.params import Audit
from components.labs.faces.audit.pictures import Picture, Worst
from components.labs.faces.audit.schema import Details
from components.records import Requirement, Verdict


@dataclass(frozen=True)
class Findings:
    """The content of audit.html and card.md."""

    candidate: Candidate
    champion: Candidate | None
    details: Details
    requirements: tuple[Requirement, ...]
    """Worst first."""
    params: Audit
    pictures: Worst
    learned: tuple[Picture, ...] = ()
    """Sheets of a model with latent features."""

    @property
    def verdict(self) -> Verdict:
        return self.requirements[0].verdict

"""False positives by what the pictures show, and the worst mistakes as pictures."""

from __future__ import annotations

from html import escape

from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.pictures import Picture
from components.labs.faces.audit.schema import AnimalHeads, Rate
from components.labs.faces.audit.sections.wording import count, rate, share
from components.report.charts import Line, Row, intervals
from components.report.page import note, section, table, thumbnails

CONTEXTS = 8
"""Kinds of pictures shown with their false positives."""


def negatives(findings: Findings) -> str:
    """False-positive rates of all negatives, hard and others, and by category."""
    found = findings.details.negatives
    named = list(found.contexts.items())[:CONTEXTS]
    animals = findings.details.animals
    kinds = {"all": found.all, "hard ones": found.hard, "the others": found.other}
    kinds |= {"heads of animals": animals.all} if animals else {}
    rows = [Row(name, measured.value, measured.low, measured.high, count(measured)) for name, measured in kinds.items()]
    lines = [Line(findings.params.max_false_positive_rate, "allowed for all", bound=True)]
    contexts = [_row(name, measured) for name, measured in named]
    worst = f"<p>Most often in pictures of:</p>{table(contexts, ('', 'false positives', 'true rate'))}"
    return section(
        "False positives",
        "<p>Cut-outs without a face that the detector takes for one. Hard ones are cut-outs of photographs in which "
        "another face detector once saw a face: animals, statues, drawings. The bars take into account that "
        f"the cut-outs come from only {found.photographs} photographs.</p>",
        intervals(rows, lines),
        _animals(animals) if animals else "",
        worst if named else "",
    )


def _animals(found: AnimalHeads) -> str:
    """Heads of animals by category: which kinds a user must expect to be taken for faces."""
    rows = [_row(name, measured) for name, measured in found.categories.items()]
    return (
        f"<p>Heads of animals look most like faces. Of {found.all.of} heads of animals, cut out as a face is, "
        f"{rate(found.all)} are taken for one. The detector has learned from no photograph of these animals, so that "
        f"the rate stands for animals it does not know:</p>{table(rows, ('', 'taken for faces', 'true rate'))}"
    )


def _row(name: str, measured: Rate) -> tuple[str, str, str]:
    return escape(name), count(measured), f"{share(measured.low)} to {share(measured.high)}"


def pictures(findings: Findings) -> str:
    """The worst misses and the worst false positives."""
    shown = findings.pictures
    return section(
        "The worst mistakes",
        "<p>Missed faces with the lowest probability of a face, which stands behind their labels:</p>",
        _pictures(shown.misses),
        "<p>Cut-outs without a face with the highest probability of one:</p>",
        _pictures(shown.false_positives),
        note("Pictures: FairFace (CC BY 4.0) and Caltech-101, or scikit-image's in the starter data."),
    )


def _pictures(found: tuple[Picture, ...]) -> str:
    return thumbnails((picture.address, picture.caption) for picture in found) if found else "<p>None.</p>"

"""False positives by what the pictures show, and the worst mistakes as pictures."""

from __future__ import annotations

from html import escape

from components.labs.faces.audit.findings import Findings
from components.labs.faces.audit.pictures import Picture
from components.labs.faces.audit.sections.wording import count, share
from components.report.charts import Line, Row, intervals
from components.report.page import note, section, table, thumbnails

CONTEXTS = 8
"""Kinds of pictures shown with their false positives."""


def negatives(findings: Findings) -> str:
    """False-positive rates of all negatives, hard and others, and by category."""
    found = findings.details.negatives
    named = list(found.contexts.items())[:CONTEXTS]
    kinds = {"all": found.all, "hard ones": found.hard, "the others": found.other}
    rows = [Row(name, rate.value, rate.low, rate.high, count(rate)) for name, rate in kinds.items()]
    lines = [Line(findings.params.max_false_positive_rate, "allowed for all", bound=True)]
    contexts = [(escape(name), count(rate), f"{share(rate.low)} to {share(rate.high)}") for name, rate in named]
    worst = f"<p>Most often in pictures of:</p>{table(contexts, ('', 'false positives', 'true rate'))}"
    return section(
        "False positives",
        "<p>Cut-outs without a face that the detector takes for one. Hard ones are cut-outs of photographs in which "
        "another face detector once saw a face: animals, statues, drawings. The bars take into account that "
        f"the cut-outs come from only {found.photographs} photographs.</p>",
        intervals(rows, lines),
        worst if named else "",
    )


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

"""report.html: what was measured, told to somebody who does not train models. It loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from components.bundle import Manifest
from components.datasets.digits.reader import Split
from components.families.classification.evaluation import plots
from components.families.classification.evaluation.measures import Mistake, Reliability
from components.files import write_text
from components.stats import wilson_interval

UNITS = {"shift": "pixels", "rotation": "degrees", "noise": "standard deviation", "blur": "pixels"}
"""Of the levels of each corruption."""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; border-bottom: 1px solid #d9e2ec }
th { text-align: left } td { font-variant-numeric: tabular-nums } figure { margin: 1rem 0 }
figure svg { max-width: 100%; height: auto } figcaption { font-weight: 600 } .note { color: #52606d }
"""


@dataclass(frozen=True)
class Findings:
    """All that the report tells."""

    manifest: Manifest
    metrics: Mapping[str, float]
    variants: Mapping[str, Mapping[str, float]]
    served: str
    test: Split
    matrix: np.ndarray
    reliability: Reliability
    mistakes: Sequence[Mistake]
    robustness: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    """By kind of corruption: its levels and the accuracy under each."""
    limitations: tuple[str, ...]


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html and mistakes.png into `out`."""
    manifest, metrics = findings.manifest, findings.metrics
    total = len(findings.test.labels)
    right = int(np.trace(findings.matrix))
    low, high = wilson_interval(right, total)
    starter = manifest.provenance.data_profile != "course"
    warning = " <strong>(the small starter data: not the real thing)</strong>" if starter else ""
    about = [
        ("model digest", f"<code>{manifest.digest}</code>"),
        ("data", f"profile {escape(manifest.provenance.data_profile)}{warning}"),
        ("code", f"commit <code>{escape(manifest.provenance.git_commit)}</code>"),
        ("graph that will be served", escape(findings.served)),
    ]
    results = [
        ("accuracy", f"{metrics['accuracy']:.2%}", f"{total - right} of {total} wrong; 95 %: {low:.2%} to {high:.2%}"),
        ("the digit read worst", f"{metrics['worst_digit_accuracy']:.2%}", "share of that digit that is read right"),
        ("cross-entropy", f"{metrics['cross_entropy']:.4f}", "nats; 2.303 is guessing"),
        ("calibration error", f"{metrics['calibration_error']:.2%}", "mean gap between how sure it is and how right"),
    ]
    body = [
        _table(about),
        "<h2>Test digits</h2>",
        _table(results),
        "<h2>Variants</h2>",
        _variants(findings.variants),
        "<h2>Weaknesses</h2><ul>" + "".join(f"<li>{escape(each)}</li>" for each in findings.limitations) + "</ul>",
        _figure("Confusion: what is read as what", plots.confusion(findings.matrix)),
        _figure("Calibration", plots.calibration(findings.reliability)),
        _figure("Accuracy on corrupted test digits", plots.robustness(findings.robustness, UNITS)),
        _figure(
            "The mistakes it was surest of",
            plots.mistakes(findings.test.images, findings.mistakes, out / "mistakes.png"),
        ),
    ]
    title = f"The model of the lab {escape(manifest.lab)}, measured"
    write_text(
        out / "report.html",
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{''.join(body)}</body></html>\n",
    )


def _variants(variants: Mapping[str, Mapping[str, float]]) -> str:
    names = list(next(iter(variants.values())))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in ("variant", *names))
    rows = (
        f"<tr><td>{escape(variant)}</td>" + "".join(f"<td>{values[name]:.4f}</td>" for name in names) + "</tr>"
        for variant, values in variants.items()
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    return (
        "<table>"
        + "".join(
            f"<tr><th>{name}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for name, *cells in rows
        )
        + "</table>"
    )


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"

"""report.html: what was measured, told to somebody who does not train models. It loads nothing from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from components.bundle import Manifest
from components.files import write_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1f2933 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; border-bottom: 1px solid #d9e2ec }
th { text-align: left } td { font-variant-numeric: tabular-nums } figure { margin: 1.5rem 0 }
img { max-width: 100%; width: 60rem; image-rendering: pixelated } figcaption { font-weight: 600 }
.note { color: #52606d }
"""

COLUMNS = {
    "frechet_distance": "Fréchet distance",
    "relative_frechet_distance": "as a share of independent pixels'",
    "precision": "precision",
    "recall": "recall",
    "near_copy_rate": "near copies",
}
"""Measured of made pictures and of both yardsticks alike."""

BOUNDS = {"elbo": "evidence lower bound", "importance_bound": "importance-weighted bound"}

FITTED = (
    '<p class="note">Of the model with the prior that it was trained with. The samples here are drawn otherwise: their '
    "latents are spread as those of training pictures are.</p>"
)

CAPTIONS = {
    "samples.png": "Samples, not chosen",
    "progress.png": "The same latents after some of the epochs: samples above, the way between two below",
    "interpolation.png": "Ways between two samples, a row each",
    "neighbours.png": "Samples above, the training picture nearest to each below; first those nearest to training",
    "reconstructions.png": "Held-out pictures above, below what the autoencoder makes of them",
}


@dataclass(frozen=True)
class Findings:
    """All that the report tells. rows: by name, what was measured of a variant or a yardstick (COLUMNS)."""

    manifest: Manifest
    instrument: str
    metrics: Mapping[str, float]
    rows: Mapping[str, Mapping[str, float]]
    served: str
    limitations: Sequence[str]


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html into `out`, with the pictures of CAPTIONS that lie there inside it."""
    manifest = findings.manifest
    starter = manifest.provenance.data_profile != "course"
    warning = " <strong>(the small starter data: not the real thing)</strong>" if starter else ""
    about = {
        "model": f"{escape(manifest.spec['model'])}, digest <code>{manifest.digest}</code>",
        "measured with": escape(findings.instrument),
        "data": f"profile {escape(manifest.provenance.data_profile)}{warning}",
        "code": f"commit <code>{escape(manifest.provenance.git_commit)}</code>",
        "graph that will be served": escape(findings.served),
    }
    bounds = {
        title: f"{findings.metrics[name]:.2f} nats a held-out picture"
        for name, title in BOUNDS.items()
        if name in findings.metrics
    }
    head = "".join(f"<th>{escape(title)}</th>" for title in ("pictures", *COLUMNS.values()))
    measured = "".join(
        f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{row[column]:.4g}</td>" for column in COLUMNS) + "</tr>"
        for name, row in findings.rows.items()
    )
    body = [
        _table(about),
        "<h2>Made pictures beside real ones</h2>",
        f"<table><tr>{head}</tr>{measured}</table>",
        "<p class=\"note\">Distances are of the features of this repository's own classifier, not of Inception's: they "
        "compare with no published figure, and only with figures of the same classifier.</p>",
        "<h2>Likelihood</h2>" + _table(bounds) if bounds else "",
        FITTED if manifest.spec["prior_components"] else "",
        "<h2>Weaknesses</h2><ul>" + "".join(f"<li>{escape(each)}</li>" for each in findings.limitations) + "</ul>",
        *(_figure(out / name, caption) for name, caption in CAPTIONS.items() if (out / name).exists()),
    ]
    title = f"The model of the lab {escape(manifest.lab)}, measured"
    write_text(
        out / "report.html",
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{''.join(body)}</body></html>\n",
    )


def _table(rows: Mapping[str, str]) -> str:
    """Cells are HTML already."""
    return "<table>" + "".join(f"<tr><th>{name}</th><td>{cell}</td></tr>" for name, cell in rows.items()) + "</table>"


def _figure(path: Path, caption: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{content}">'
    return f"<figure><figcaption>{escape(caption)}</figcaption>{image}</figure>"

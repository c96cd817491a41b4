"""report.html of a generator, for readers who do not train models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from components.bundle import Manifest
from components.files import write_text
from components.report.model import about, limitations
from components.report.page import data_address, figure, image, note, page, section, table

COLUMNS = {
    "frechet_distance": "Fréchet distance",
    "relative_frechet_distance": "as a share of independent pixels'",
    "precision": "precision",
    "recall": "recall",
    "near_copy_rate": "near copies",
}
"""Measured of generated pictures and of both baselines alike."""

BOUNDS = {"elbo": "evidence lower bound", "importance_bound": "importance-weighted bound"}

CLASSIFIER = (
    "Distances are of the features of this repository's own classifier, not of Inception's: they compare with no "
    "published figure, and only with figures of the same classifier."
)
FITTED = (
    "These bounds are of the model with the prior that it was trained with. The samples here are drawn from another "
    "one, which was fitted to the latents of training pictures."
)

CAPTIONS = {
    "samples.png": "Samples, not chosen",
    "progress.png": "The same latents after some of the epochs: samples above, an interpolation between two below",
    "interpolation.png": "Interpolations between two samples, a row each",
    "neighbours.png": "Samples above, the training picture nearest to each below; first those nearest to training",
    "reconstructions.png": "Held-out pictures above, their reconstructions below",
}


@dataclass(frozen=True)
class Findings:
    """The content of the report. rows: by name, what was measured of a variant or a baseline (COLUMNS)."""

    manifest: Manifest
    reference_model: str
    metrics: Mapping[str, float]
    rows: Mapping[str, Mapping[str, float]]
    served: str
    limitations: Sequence[str]


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html into `out`, with the pictures of CAPTIONS that lie there inside it."""
    manifest = findings.manifest
    measured = [(escape(name), *(f"{row[column]:.4g}" for column in COLUMNS)) for name, row in findings.rows.items()]
    bounds = [
        (title, f"{findings.metrics[name]:.2f}", "nats a held-out picture")
        for name, title in BOUNDS.items()
        if name in findings.metrics
    ]
    fitted = note(FITTED) if manifest.spec["prior_components"] else ""
    pictures = {name: out / name for name in CAPTIONS if (out / name).exists()}
    sections = [
        about(
            manifest,
            findings.served,
            model=escape(manifest.spec["model"]),
            measured_with=escape(findings.reference_model),
        ),
        section(
            "Generated pictures beside real ones",
            table(measured, ["pictures", *map(escape, COLUMNS.values())]),
            note(CLASSIFIER),
        ),
        section("Likelihood", table(bounds), fitted) if bounds else "",
        limitations(findings.limitations),
        section("Pictures"),
        *(
            figure(CAPTIONS[name], image(data_address(path.read_bytes(), "png"), CAPTIONS[name]), "pixels")
            for name, path in pictures.items()
        ),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {manifest.lab}", sections))

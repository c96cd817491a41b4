"""report.html of a generator, for readers who do not train models."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from components.bundle import Manifest
from components.families.generation.evaluation.measures import Pairs
from components.files import write_text
from components.report.model import about, limitations
from components.report.page import data_address, figure, image, note, page, section, table, thumbnails
from components.report.pictures import sheet

COLUMNS = {
    "frechet_distance": "Fréchet distance",
    "relative_frechet_distance": "as a share of independent pixels'",
    "precision": "precision",
    "recall": "recall",
    "near_copy_rate": "near copies",
    "certain_rate": "read with certainty",
}
"""Measured of generated pictures and of both baselines alike; the last where the classifier reads pictures."""

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
    "reconstructions.png": "Held-out pictures above, their reconstructions below",
}


NEIGHBOURS = (
    "Each picture stands above the training picture that is nearest to it, with their distance: the root mean square "
    "difference of their pixels, of 255 levels (pictures of more than 32 pixels a side are compared at half their "
    "size). Of each kind the nearest come first, then as many that were not chosen. Held-out pictures are real and no "
    "copies: samples that are clearly nearer to training pictures than they are, and sharp, are copies."
)


@dataclass(frozen=True)
class Findings:
    """The content of the report. rows: by name, what was measured of a variant or a baseline (COLUMNS).

    neighbours, distances: by name, pictures to show, and the distances of all that were measured, (N,).
    """

    manifest: Manifest
    reference_model: str
    metrics: Mapping[str, float]
    rows: Mapping[str, Mapping[str, float]]
    served: str
    limitations: Sequence[str]
    neighbours: Mapping[str, Pairs]
    distances: Mapping[str, np.ndarray]


def write_report(out: Path, findings: Findings) -> None:
    """Writes report.html into `out`, with the pictures of CAPTIONS that lie there inside it."""
    manifest = findings.manifest
    columns = {column: title for column, title in COLUMNS.items() if column in findings.metrics}
    measured = [(escape(name), *(f"{row[column]:.4g}" for column in columns)) for name, row in findings.rows.items()]
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
            table(measured, ["pictures", *map(escape, columns.values())]),
            note(CLASSIFIER),
        ),
        section("Likelihood", table(bounds), fitted) if bounds else "",
        limitations(findings.limitations),
        section("Nearest training pictures", note(NEIGHBOURS), *_neighbours(findings)),
        section("Pictures"),
        *(
            figure(CAPTIONS[name], image(data_address(path.read_bytes(), "png"), CAPTIONS[name]), "pixels")
            for name, path in pictures.items()
        ),
    ]
    write_text(out / "report.html", page(f"Evaluation of the lab {manifest.lab}", sections))


def _neighbours(findings: Findings) -> list[str]:
    """The distances of each set of pictures as a table, then its pictures."""
    quantiles = [
        (escape(name), *(f"{value:.1f}" for value in np.quantile(distances, (0, 0.01, 0.5))))
        for name, distances in findings.distances.items()
    ]
    found = [table(quantiles, ["distance", "nearest", "1 % are nearer than", "half are nearer than"])]
    for name, pairs in findings.neighbours.items():
        columns = zip(pairs.pictures, pairs.neighbours, pairs.distances, strict=True)
        both = [
            (data_address(_png(sheet(np.stack([picture, neighbour]), 1)), "png"), f"{name}: {distance:.1f}")
            for picture, neighbour, distance in columns
        ]
        found.append(thumbnails(both))
    return found


def _png(picture: np.ndarray) -> bytes:
    """picture: (H, W, C) uint8, grey (C = 1) or RGB."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(content, "PNG")
    return content.getvalue()

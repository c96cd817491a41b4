"""Measures an exported bundle: its pictures against real ones, in the features of another lab's classifier."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from components.families.generation.evaluation.features import Features
from components.families.generation.evaluation.likelihood import bounds
from components.families.generation.evaluation.measures import (
    Certain,
    coverage,
    evenly,
    flat,
    frechet_distance,
    independent_pixels,
    nearest,
    pairs,
)
from components.families.generation.evaluation.report import COLUMNS, Findings, write_report
from components.families.generation.params import Evaluate
from components.families.generation.runtime import Generator
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv
from components.report.pictures import save_png, sheet

if TYPE_CHECKING:
    from components.bundle import Bundle

log = logging.getLogger(__name__)

HELD_OUT, INDEPENDENT = "held-out pictures", "independent pixels"
"""The baselines: the best that can be reached, and pictures that match real ones pixel by pixel only."""


SEEDS = 2**32
"""Seeds of latents are taken modulo this number: numpy's old generator accepts no larger ones."""


class Real(NamedTuple):
    """Real pictures, (N, H, W, C) uint8 each."""

    train: np.ndarray
    held_out: np.ndarray


class Comparison:
    """Measures pictures against the training pictures, by figures (COLUMNS) that real held-out ones are measured by."""

    def __init__(self, real: Real, features: Features, params: Evaluate, certain: Certain | None = None) -> None:
        self.params, self.features, self.certain = params, features, certain
        self.train = flat(real.train)
        self.reference = self._features(real.train)
        held_out = real.held_out[evenly(len(real.held_out), params.samples)]
        _, distances = nearest(flat(self._few(held_out)), self.train)
        self.near = float(np.quantile(distances, params.copy_quantile))
        self.distances = {HELD_OUT: distances}
        noise = independent_pixels(real.train, len(held_out), params.seed)
        self.worst = frechet_distance(self.reference, self._features(noise))
        self.rows = {HELD_OUT: self.measured(HELD_OUT, held_out), INDEPENDENT: self.measured(INDEPENDENT, noise)}

    def measured(self, name: str, images: np.ndarray) -> dict[str, float]:
        """Every one of COLUMNS for images (N, H, W, C); `certain_rate` where there is a classifier to read them."""
        found = self._features(images)
        distance = frechet_distance(self.reference, found)
        covered = coverage(self._few(self.reference), self._few(found), self.params.neighbours)
        _, self.distances[name] = nearest(flat(self._few(images)), self.train)
        read = {"certain_rate": float(self.certain(self._few(images)).mean())} if self.certain else {}
        return {
            "frechet_distance": distance,
            "relative_frechet_distance": distance / self.worst,
            **covered._asdict(),
            "near_copy_rate": float((self.distances[name] < self.near).mean()),
            **read,
        }

    def counts(self, images: int) -> dict[str, int]:
        """How many pictures each of COLUMNS is measured on: the smaller of the two sets that it compares."""
        whole = min(images, self.params.samples, len(self.reference))
        few = min(whole, self.params.manifold_samples)
        read = {"certain_rate": min(images, self.params.manifold_samples)} if self.certain else {}
        return {
            "frechet_distance": whole,
            "relative_frechet_distance": whole,
            "precision": few,
            "recall": few,
            "near_copy_rate": min(images, self.params.manifold_samples, len(self.distances[HELD_OUT])),
            **read,
        }

    def _features(self, images: np.ndarray) -> np.ndarray:
        return self.features(images[evenly(len(images), self.params.samples)], self.params.batch)

    def _few(self, items: np.ndarray) -> np.ndarray:
        few: np.ndarray = items[evenly(len(items), self.params.manifold_samples)]
        return few


def evaluate(
    bundle: Bundle, real: Real, out: Path, params: Evaluate, classifier: Bundle, certain: Certain | None = None
) -> Evaluation:
    """Measures every variant, chooses the one to serve, and draws pictures of that one.

    classifier: the other lab's bundle whose features distances are measured in. certain: what it reads, if it reads.
    Writes report.html, its pictures and plots/nearest.csv into `out`.
    """
    models = {variant: Generator.load(bundle, variant) for variant in bundle.spec["variants"]}
    log.info("measuring real pictures, then %d made ones of each variant", params.samples)
    comparison = Comparison(real, Features(classifier), params, certain)
    made = {
        variant: model.pictures(model.latents(params.seed, params.samples), params.batch)
        for variant, model in models.items()
    }
    variants = {variant: comparison.measured(variant, images) for variant, images in made.items()}
    cost = quantisation_cost(variants, "relative_frechet_distance", lower_is_better=True)
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    metrics = {**variants[served], "quantisation_cost": cost}
    metrics |= {f"held_out_{name}": value for name, value in comparison.rows[HELD_OUT].items()}
    counts = comparison.counts(params.samples)
    counts |= {f"held_out_{name}": count for name, count in comparison.counts(len(real.held_out)).items()}
    counts["quantisation_cost"] = counts["relative_frechet_distance"]
    if "encoder" in bundle.manifest.graphs:
        seen = real.held_out[evenly(len(real.held_out), params.likelihood_pictures)]
        found = bounds(bundle, seen, params.importance_samples, params.seed)
        metrics |= {"elbo": found.elbo, "importance_bound": found.importance}
        counts |= dict.fromkeys(("elbo", "importance_bound"), len(seen))
        reconstructed = _reconstructed(bundle, models[served], real.held_out, params)
        save_png(out / "reconstructions.png", sheet(reconstructed, params.shown))
    _draw(out, models[served], made[served], params)
    shutil.copyfile(bundle.folder / "progress.png", out / "progress.png")
    _write_distances(out / "plots" / "nearest.csv", {**comparison.distances}, served)
    manifest = classifier.manifest
    findings = Findings(
        manifest=bundle.manifest,
        reference_model=f"the classifier of the lab {manifest.lab}, digest {manifest.digest}",
        metrics=metrics,
        rows={**variants, **comparison.rows},
        served=served,
        limitations=limitations(metrics),
        neighbours={
            name: pairs(images[evenly(len(images), params.manifold_samples)], real.train, params.shown)
            for name, images in (("samples", made[served]), (HELD_OUT, real.held_out))
        },
        distances={"samples": comparison.distances[served], HELD_OUT: comparison.distances[HELD_OUT]},
    )
    write_report(out, findings)
    return Evaluation(
        metrics=metrics,
        counts=counts,
        variants=variants,
        serve={"variant": served},
        limitations=tuple(findings.limitations),
    )


def limitations(metrics: Mapping[str, float]) -> list[str]:
    """Limitations as sentences with the measured values, for those who use the model."""
    held_out = {name: metrics[f"held_out_{name}"] for name in COLUMNS if name in metrics}
    sentences = [
        f"Of its pictures {metrics['precision']:.0%} lie where real ones do (of real held-out ones "
        f"{held_out['precision']:.0%}): the others show nothing that the training pictures show.",
        f"It makes {metrics['recall']:.0%} of what real pictures show (held-out ones: {held_out['recall']:.0%}).",
        f"Its Fréchet distance is {metrics['frechet_distance'] / max(held_out['frechet_distance'], 1e-9):.0f} times "
        "that of real held-out pictures.",
        f"{metrics['near_copy_rate']:.1%} of its pictures are nearer to a training picture than all but "
        f"{held_out['near_copy_rate']:.1%} of held-out ones: blur does that too, so look at the neighbours.",
    ]
    if "certain_rate" in metrics:
        sentences.append(
            f"The classifier reads {metrics['certain_rate']:.1%} of its pictures with certainty, of real held-out ones "
            f"{held_out['certain_rate']:.1%}."
        )
    if "elbo" in metrics:
        sentences.append(
            "It shows the mean of each pixel, so its pictures are smoother than the pixels that it models."
        )
    return sentences


def _draw(out: Path, model: Generator, made: np.ndarray, params: Evaluate) -> None:
    shown = params.shown
    save_png(out / "samples.png", sheet(made[: shown * shown], shown))
    ends = [(params.seed + row) % SEEDS for row in range(shown // 2 + 1)]
    ways = [model.interpolation(*pair, shown) for pair in itertools.pairwise(ends)]
    save_png(out / "interpolation.png", sheet(np.concatenate(ways), shown))


def _reconstructed(bundle: Bundle, model: Generator, held_out: np.ndarray, params: Evaluate) -> np.ndarray:
    seen = held_out[evenly(len(held_out), params.shown)]
    means, _ = bundle.session("encoder").run(None, {"images": np.ascontiguousarray(seen)})
    return np.concatenate([seen, model.pictures(means)])


def _write_distances(path: Path, distances: Mapping[str, np.ndarray], served: str) -> None:
    """Quantiles of the distance to the nearest training picture, as CSV for `dvc plots`."""
    quantiles = np.linspace(0, 1, 101)
    samples, held_out = (np.quantile(distances[name], quantiles).round(3) for name in (served, HELD_OUT))
    write_csv(path, {"quantile": quantiles.round(2), "samples": samples, "held_out": held_out})

"""Measures an exported driver: returns on fresh tracks, beside others', and when what it sees is disturbed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.datasets.driving.game_reader import Racing, racing
from components.datasets.driving.params import Expert as ExpertParams
from components.datasets.environments.reader import Environment
from components.labs.driving.evaluation.episodes import (
    Drive,
    drive,
    drive_by_expert,
    drive_disturbed,
    drive_randomly,
    noise,
)
from components.labs.driving.evaluation.measures import Disturbed, limitations, summary
from components.labs.driving.evaluation.report import Findings, write_report
from components.labs.driving.params import Evaluate
from components.labs.driving.runtime import DrivingPolicy
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv

if TYPE_CHECKING:
    from components.bundle import Bundle

log = logging.getLogger(__name__)

LOGGED_EVERY = 10
"""Tracks between two lines of the log."""


def evaluate(bundle: Bundle, prepared: Path, out: Path, params: Evaluate) -> Evaluation:
    """Chooses the variant on validation tracks, and measures it on test tracks, which nothing was chosen by.

    Writes report.html, strips.png and plots/*.csv into `out`. The headline is measured in the game as gymnasium makes
    it, every frame drawn.
    """
    environment = Environment.read(prepared)
    game = racing(environment)
    policies = {variant: DrivingPolicy.load(bundle, variant) for variant in bundle.spec["variants"]}
    variants = _variants(policies, environment, game, params)
    cost = quantisation_cost(variants, "validation_return")
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    seeds = [environment.seed("test", index) for index in range(params.tracks)]
    drives = _drives(f"{served} in gymnasium's own game", seeds, partial(drive, environment, policies[served]))
    others = _others(bundle, game, seeds, params)
    disturbed = _disturbed(policies[served], game, seeds[: params.robustness_tracks], params)
    metrics = {
        **summary(drives, environment.solved_return, params.seed),
        "quantisation_cost": cost,
        **{f"{name}_return": float(np.mean([found.total for found in drives])) for name, drives in others.items()},
        "expert_min_return": min(found.total for found in others["expert"]),
        **_lowest(disturbed, "noise", "noisy_return"),
        **_lowest(disturbed, "delay", "delayed_return"),
    }
    said = tuple(limitations(metrics, drives, disturbed, environment.solved_return))
    _write_tables(out / "plots", drives, disturbed)
    write_report(out, Findings(bundle, metrics, variants, served, drives, others, disturbed, params.strips, said))
    return Evaluation(
        metrics=metrics,
        counts={name: _count(name, params) for name in metrics},
        variants=variants,
        serve={"variant": served},
        limitations=said,
    )


def _variants(
    policies: Mapping[str, DrivingPolicy], environment: Environment, game: Racing, params: Evaluate
) -> dict[str, dict[str, float]]:
    seeds = [environment.seed("validation", index) for index in range(params.variant_tracks)]
    found = {}
    for variant, policy in policies.items():
        drives = _drives(f"{variant} on validation tracks", seeds, partial(drive_disturbed, game, policy))
        totals = [driven.total for driven in drives]
        found[variant] = {"validation_return": float(np.mean(totals)), "validation_min_return": min(totals)}
    return found


def _others(bundle: Bundle, game: Racing, seeds: Sequence[int], params: Evaluate) -> dict[str, list[Drive]]:
    """The same tracks driven by the teacher, and by chance."""
    hold, draw = bundle.spec["hold"], np.random.default_rng(params.seed)
    expert = ExpertParams.model_validate(bundle.spec["expert"])
    return {
        "expert": _drives("the expert", seeds, lambda seed: drive_by_expert(game, seed, expert, hold)),
        "random": _drives("a random policy", seeds, lambda seed: drive_randomly(game, seed, draw, hold)),
    }


def _disturbed(policy: DrivingPolicy, game: Racing, seeds: Sequence[int], params: Evaluate) -> Disturbed:
    draw = np.random.default_rng(params.seed)
    found: Disturbed = {("none", 0.0): _drives("undisturbed", seeds, partial(drive_disturbed, game, policy))}
    for deviation in params.noises:
        disturb = noise(deviation, draw)
        found["noise", deviation] = _drives(
            f"noise of {deviation:g}", seeds, partial(drive_disturbed, game, policy, disturb=disturb)
        )
    for delay in params.delays:
        found["delay", float(delay)] = _drives(
            f"a delay of {delay} frames", seeds, partial(drive_disturbed, game, policy, delay=delay)
        )
    return found


def _drives(what: str, seeds: Sequence[int], driven: Callable[[int], Drive]) -> list[Drive]:
    drives = list[Drive]()
    for seed in seeds:
        drives.append(driven(seed))
        if len(drives) % LOGGED_EVERY == 0:
            log.info("%s: %d of %d tracks", what, len(drives), len(seeds))
    log.info("%s: mean return %.1f over %d tracks", what, np.mean([found.total for found in drives]), len(seeds))
    return drives


def _lowest(disturbed: Disturbed, kind: str, metric: str) -> dict[str, float]:
    """The mean return under the worst level of a kind of disturbance."""
    means = [np.mean([found.total for found in drives]) for (name, _), drives in disturbed.items() if name == kind]
    return {metric: float(min(means))} if means else {}


def _count(metric: str, params: Evaluate) -> int:
    """Tracks that a metric was measured over."""
    if metric == "quantisation_cost":
        return params.variant_tracks
    return (
        min(params.robustness_tracks, params.tracks) if metric in ("noisy_return", "delayed_return") else params.tracks
    )


def _write_tables(folder: Path, drives: Sequence[Drive], disturbed: Disturbed) -> None:
    """The numbers of each plot, as CSV."""
    ordered = sorted(drives, key=lambda found: found.total)
    columns = {
        "place": range(1, len(ordered) + 1),
        "seed": [found.seed for found in ordered],
        "total": [found.total for found in ordered],
        "frames": [found.length for found in ordered],
    }
    write_csv(folder / "returns.csv", columns)
    rows = [(kind, level, found.seed, found.total) for (kind, level), drives in disturbed.items() for found in drives]
    names = ("disturbance", "level", "seed", "total")
    write_csv(folder / "robustness.csv", dict(zip(names, zip(*rows, strict=True), strict=True)))

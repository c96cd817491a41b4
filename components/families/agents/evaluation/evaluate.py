"""Judges an exported policy in gymnasium's own games, on test seeds: one whole episode for each seed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.datasets.environments.reader import Environment
from components.families.agents.evaluation.measures import Returns, bootstrap_interval, summary
from components.families.agents.evaluation.published import Published
from components.families.agents.evaluation.report import Findings, write_report
from components.families.agents.params import Evaluate
from components.families.agents.runtime.episodes import Act, Disturbance, play
from components.families.agents.runtime.pictures import Scene, strip
from components.families.agents.runtime.policy import Policy
from components.onnx.quantisation import choose_variant, quantisation_cost
from components.records import Evaluation
from components.report.csv_table import write_csv

if TYPE_CHECKING:
    from components.bundle import Bundle

log = logging.getLogger(__name__)

TEST = "test"


def evaluate(
    bundle: Bundle, environment: Environment, out: Path, params: Evaluate, published: Sequence[Published]
) -> Evaluation:
    """Measures every variant, chooses the one to serve, disturbs it, and shows where it fails.

    Writes report.html, plots/returns.csv and plots/robustness.csv into `out`.
    """
    policies = {variant: Policy.load(bundle, variant) for variant in bundle.spec["variants"]}
    returns = {name: returns_of(environment, acting(policy), params.episodes) for name, policy in policies.items()}
    variants = {name: summary(found, environment.solved_return) for name, found in returns.items()}
    cost = quantisation_cost(variants, "mean_return")
    served = choose_variant(variants, cost, params.max_quantisation_cost)
    chance = returns_of(environment, random(environment, params.seed), params.episodes)
    disturbed = robustness(environment, policies[served], np.asarray(bundle.spec["observation_unit"]), params)
    varied = {
        name: returns_of(environment, acting(policies[served]), params.episodes, None, **options)
        for name, options in params.variations.items()
    }
    low, high = bootstrap_interval(returns[served], params.resamples, params.seed)
    metrics = {
        **variants[served],
        "mean_return_low": low,
        "mean_return_high": high,
        "random_return": float(chance.mean()),
        "noisy_return": disturbed[f"noise {params.noises[-1]:g}"],
        "delayed_return": disturbed[f"delay {params.delays[-1]}"],
        **{f"{name}_return": float(found.mean()) for name, found in varied.items()},
    }
    disturbed |= {f"the variation {name}": float(found.mean()) for name, found in varied.items()}
    counts = dict.fromkeys(metrics, params.episodes)
    counts |= dict.fromkeys(("noisy_return", "delayed_return"), params.robustness_episodes)
    write_csv(out / "plots" / "returns.csv", {"place": range(1, len(chance) + 1), "agent": sorted(returns[served])})
    write_csv(out / "plots" / "robustness.csv", {"under": list(disturbed), "mean_return": list(disturbed.values())})
    failures = worst(environment, policies[served], returns[served], params)
    limitations = sentences(environment, metrics, disturbed, params)
    write_report(
        out / "report.html",
        Findings(
            bundle, served, variants, metrics, returns[served], chance, disturbed, published, failures, limitations
        ),
        environment,
    )
    return Evaluation(
        metrics=metrics, counts=counts, variants=variants, serve={"variant": served}, limitations=limitations
    )


def acting(policy: Policy) -> Act:
    """The likeliest action, and the probabilities."""

    def act(observation: np.ndarray) -> tuple[int, np.ndarray | None]:
        found = policy(observation[None])
        return int(found.actions[0]), found.probabilities[0]

    return act


def random(environment: Environment, seed: int) -> Act:
    """Every action with equal probability."""
    draw = np.random.RandomState(seed)
    return lambda _: (int(draw.randint(environment.action_count)), None)


def returns_of(
    environment: Environment, act: Act, episodes: int, disturbance: Disturbance | None = None, **options: Any
) -> Returns:
    """The return of one episode for each of the first test seeds (episodes,)."""
    found = []
    for index in range(episodes):
        for moment in play(environment, act, environment.seed(TEST, index), disturbance, **options):
            total = moment.total
        found.append(total)
    return np.array(found)


def robustness(environment: Environment, policy: Policy, unit: np.ndarray, params: Evaluate) -> dict[str, float]:
    """Mean returns under noise on what is seen, and when it is seen late."""
    ways = {f"noise {noise:g}": Disturbance(noise * unit, 0, params.seed) for noise in params.noises}
    ways |= {f"delay {delay}": Disturbance(0.0, delay, params.seed) for delay in params.delays}
    found = {}
    for name, way in ways.items():
        found[name] = float(returns_of(environment, acting(policy), params.robustness_episodes, way).mean())
        log.info("%s under %s: %.1f", environment.name, name, found[name])
    return found


def worst(environment: Environment, policy: Policy, returns: Returns, params: Evaluate) -> list[tuple[str, bytes]]:
    """Film strips (caption, PNG) of the ends of the worst unsolved episodes; none where all are solved."""
    found = []
    for index in np.argsort(returns, kind="stable")[: params.failures]:
        if returns[index] >= environment.solved_return:
            break
        seed = environment.seed(TEST, int(index))
        moments = list(play(environment, acting(policy), seed, render=True))
        scene = Scene("", [moment.picture for moment in moments if moment.picture is not None])
        found.append(
            (f"seed {seed}: return {returns[index]:.0f} after {len(moments)} steps", strip(scene, params.strip))
        )
    return found


def sentences(
    environment: Environment, metrics: dict[str, float], disturbed: dict[str, float], params: Evaluate
) -> tuple[str, ...]:
    """What to know before one uses the policy, with the figures that say so."""
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    said = [f"The policy was measured in {environment.id} of {packages} only; another version may be another game."]
    if metrics["solved_share"] < 1:
        said.append(
            f"{100 * (1 - metrics['solved_share']):.0f} of 100 test episodes end below {environment.solved_return:g}."
        )
    said += [
        f"Under {name} the mean return falls from {metrics['mean_return']:.0f} to {found:.0f}."
        for name, found in disturbed.items()
        if found < 0.9 * metrics["mean_return"]
    ]
    return tuple(said)

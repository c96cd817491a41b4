"""A policy as a graph from raw observations to actions and their probabilities, and the film of its stages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.bundle import BundleSpec
from components.datasets.environments.reader import Environment
from components.datasets.environments.rollouts import random_policy
from components.families.agents.params import Export
from components.families.agents.runtime.pictures import Scene, save_film
from components.families.agents.training.agent import Agent
from components.files import write_json
from components.onnx.export import export_graph
from components.onnx.parity import check_parity, compare
from components.onnx.quantisation import write_int8
from components.training.finite import check_finite

PARITY_BATCHES = (1, 2, 7)
OUTPUTS = ("actions", "probabilities")


class Policy(nn.Module):
    """Raw observations (B, ...) to the actions that are taken (B,) and the policy's probabilities (B, actions)."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = self.agent.probabilities(observations)
        return probabilities.argmax(1), probabilities


def export(agent: Agent, environment: Environment, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant, parity.json, training.json and progress.gif into `out`.

    Raises UserError when a weight is NaN or infinite, or the float graph differs from the model by more than
    `params.parity_tolerance`.
    """
    check_finite(agent)
    model = Policy(agent.cpu().float().eval())
    observed = _observed(environment, params.calibration)
    cases = [{"observations": observed[np.arange(batch) * len(observed) // batch]} for batch in PARITY_BATCHES]
    whole = out / "float.onnx"
    export_graph(model, {"observations": observed[:3]}, OUTPUTS, whole)
    report = {"float": compare(whole, model, cases)}
    check_parity(report, params.parity_tolerance)
    if "int8" in params.variants:
        parts = np.array_split(observed, max(1, len(observed) // 16))
        write_int8(whole, out / "int8.onnx", ({"observations": part} for part in parts), ["Conv", "Gemm", "MatMul"])
        report["int8"] = compare(out / "int8.onnx", model, cases)
    if "float" not in params.variants:
        whole.unlink()
    write_json(out / "parity.json", report)
    write_json(out / "training.json", agent.history.columns())
    save_film(out / "progress.gif", _scenes(agent, environment, params), params.film_pictures)
    spec = {
        "environment": environment.model_dump(mode="json"),
        "algorithm": agent.params.algorithm,
        "observation_unit": list(agent.params.observation_unit),
        "variants": list(params.variants),
    }
    return BundleSpec(graphs={variant: out / f"{variant}.onnx" for variant in params.variants}, spec=spec)


def _observed(environment: Environment, count: int) -> np.ndarray:
    """`count` observations (count, ...) of random play, with seeds of the training split."""
    game, found, episode = environment.make(), list[np.ndarray](), 0
    while len(found) < count:
        seed = environment.seed("train", episode)
        act, (observation, _) = random_policy(game, seed), game.reset(seed=seed)
        done = False
        while not done and len(found) < count:
            found.append(np.asarray(observation))
            observation, _, terminated, truncated, _ = game.step(act(observation))
            done = terminated or truncated
        episode += 1
    game.close()
    return np.stack(found)


def _scenes(agent: Agent, environment: Environment, params: Export) -> list[Scene]:
    """The same validation episode as it was played at several stages, and as it is played now."""
    stages = [(f"after {epochs} epochs" if epochs else "untrained", net) for epochs, net in agent.stages.networks()]
    scenes = []
    for title, network in [*stages, ("exported", agent.network.actions)]:
        player = copy.deepcopy(agent)
        player.network.actions = network  # type: ignore[assignment]

        def act(shown: Tensor, by: Agent = player) -> int:
            return int(by.probabilities(shown).argmax(1))

        scenes.append(_scene(title, environment, act, params))
    return scenes


@torch.no_grad()
def _scene(title: str, environment: Environment, act: Callable[[Tensor], int], params: Export) -> Scene:
    game: Any = environment.make(render=True)
    observation, _ = game.reset(seed=environment.seed("validation", params.film_seed))
    pictures, total, done = [game.render()], 0.0, False
    while not done and len(pictures) <= params.film_steps:
        seen = torch.from_numpy(np.asarray(observation))[None]
        observation, reward, terminated, truncated, _ = game.step(act(seen))
        pictures.append(game.render())
        total += float(reward)
        done = terminated or truncated
    game.close()
    return Scene(f"{title}: {total:.0f}", pictures)

"""Deep Q-learning from a replay memory, with a double estimator.

Mnih et al. 2015, "Human-level control through deep reinforcement learning"; van Hasselt, Guez and Silver 2016, "Deep
reinforcement learning with double Q-learning". The target network follows slowly (Lillicrap et al. 2016).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from components.datasets.environments.reader import Environment
from components.families.agents.params import Train
from components.families.agents.training.agent import Agent
from components.families.agents.training.games import Games
from components.families.agents.training.replay import Replay


class Dqn(Agent):
    """Every update plays `steps` in each game and takes a step of the optimizer after each."""

    def __init__(self, environment: Environment, params: Train) -> None:
        super().__init__(environment, params)
        self.target = copy.deepcopy(self.network.actions).requires_grad_(False)
        self.replay = Replay(params.dqn.replay)

    def probabilities(self, observations: Tensor) -> Tensor:
        """(B, actions): 1 for the best one. Q-values are returns, not probabilities, and the policy is greedy."""
        scores = self.network(self.preprocessing(observations))
        return functional.one_hot(scores.argmax(1), scores.shape[1]).float()

    def update(self, games: Games) -> dict[str, Tensor | float]:
        params, errors = self.params.dqn, []
        for _ in range(params.steps):
            self.replay.add(self.cut(games.step(self._explore(games.observations))))
            if self.replay.seen >= params.warmup:
                errors.append(self._learn())
        error = torch.stack(errors).mean() if errors else torch.zeros(())
        return {"train_value_error": error, "train_exploration": self._exploration()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["replay"] = self.replay.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.replay.restore(checkpoint["replay"])

    def _exploration(self) -> float:
        """Share of actions that are drawn evenly: it falls linearly with the steps that were played."""
        params = self.params.dqn
        done = min(1.0, self.replay.seen / params.exploration_steps)
        return params.first_exploration + (params.last_exploration - params.first_exploration) * done

    @torch.no_grad()
    def _explore(self, observations: Tensor) -> Tensor:
        best = self.greedy(observations)
        drawn = torch.randint(self.environment.action_count, best.shape, generator=self.generator)
        explores = torch.rand(best.shape, generator=self.generator) < self._exploration()
        return torch.where(explores.to(best.device), drawn.to(best.device), best)

    def _learn(self) -> Tensor:
        params = self.params.dqn
        some = self.replay.draw(params.minibatch, self.generator, self.device)
        with torch.no_grad():
            best = self.network(some.following).argmax(1, keepdim=True)
            scores = self.target(some.following).gather(1, best).squeeze(1)
            wanted = some.rewards + params.discount * scores * (1 - some.terminated)
        found = self.network(some.observations).gather(1, some.actions[:, None]).squeeze(1)
        self.descend(functional.smooth_l1_loss(found, wanted))
        with torch.no_grad():
            for slow, fast in zip(self.target.parameters(), self.network.actions.parameters(), strict=True):
                slow.lerp_(fast, params.target_rate)
        error: Tensor = (found - wanted).square().mean().detach()
        return error

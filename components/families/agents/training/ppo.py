"""Proximal policy optimisation (Schulman et al. 2017, "Proximal policy optimization algorithms")."""

from __future__ import annotations

import torch
from torch import Tensor

from components.families.agents.params import Ppo as Params
from components.families.agents.training.advantages import advantages
from components.families.agents.training.agent import Agent
from components.families.agents.training.games import Games, Step


class Ppo(Agent):
    """Every update plays `steps` in each game, then passes over what was played several times."""

    def update(self, games: Games) -> dict[str, Tensor | float]:
        params = self.params.ppo
        played, before = self._play(games, params.steps)
        with torch.no_grad():
            values = self.network.values(played.observations.flatten(0, 1)).view_as(played.rewards)
            # The value after a step is the one before the next, but for the last step; a reset step's is not used.
            after = torch.cat([values[1:], self.network.values(played.following[-1])[None]])
        gained = advantages(
            played.rewards, values, after, played.terminated, played.done, params.discount, params.trace
        )
        rows = played.valid.flatten().nonzero().squeeze(1)
        data = (played.observations, played.actions, before, gained, gained + values)
        observations, actions, logs, gains, returns = (part.flatten(0, 1)[rows] for part in data)
        losses = [
            self._learn(observations[some], actions[some], logs[some], gains[some], returns[some], params)
            for _ in range(params.passes)
            for some in torch.randperm(len(rows), generator=self.generator).split(params.minibatch)
            if len(some) > 1
        ]
        entropy, moved, error = torch.stack(losses).mean(0)
        explained = 1 - (returns - values.flatten()[rows]).var() / returns.var().clamp(min=1e-8)
        return {
            "train_entropy": entropy,
            "train_kl": moved,
            "train_value_error": error,
            "train_explained_variance": explained,
        }

    @torch.no_grad()
    def _play(self, games: Games, steps: int) -> tuple[Step, Tensor]:
        """What happened, (steps, games) each, and the logarithm of each action's probability."""
        found, logs = [], []
        for _ in range(steps):
            scores = self.network(games.observations).log_softmax(1)
            actions = self.sample(scores)
            logs.append(scores.gather(1, actions[:, None]).squeeze(1))
            found.append(self.cut(games.step(actions)))
        return Step(*(torch.stack(part) for part in zip(*found, strict=True))), torch.stack(logs)

    def _learn(
        self, observations: Tensor, actions: Tensor, before: Tensor, gains: Tensor, returns: Tensor, params: Params
    ) -> Tensor:
        """One step on a minibatch. Returns entropy, change of the policy (Schulman's estimate of the KL), error."""
        scores = self.network(observations).log_softmax(1)
        change = scores.gather(1, actions[:, None]).squeeze(1) - before
        ratio = change.exp()
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        clipped = ratio.clamp(1 - params.clip, 1 + params.clip)
        policy = -torch.minimum(ratio * gains, clipped * gains).mean()
        entropy = -(scores.exp() * scores).sum(1).mean()
        error = self.value_error(self.network.values(observations), returns)
        weight = params.final_entropy + (params.entropy - params.final_entropy) * self.left
        self.descend(policy + params.value_weight * error - weight * entropy)
        moved = (ratio - 1 - change).mean()
        return torch.stack([entropy, moved, error]).detach()

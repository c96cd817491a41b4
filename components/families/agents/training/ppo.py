"""Proximal policy optimisation (Schulman et al. 2017, "Proximal policy optimization algorithms")."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.families.agents.params import Ppo as Params
from components.families.agents.training.advantages import advantages
from components.families.agents.training.agent import Agent
from components.families.agents.training.games import Games, Step
from components.families.agents.training.networks import Actor


class Ppo(Agent):
    """Every update plays `steps` in each game, then passes over what was played several times."""

    def update(self, games: Games) -> dict[str, Tensor | float]:
        params, unit = self.params.ppo, self.params.return_unit
        played = self._play(games, params.steps)
        seen = played.observations.flatten(0, 1)
        with torch.no_grad():
            values = self.network.values(seen).view_as(played.rewards)
            # The value after a step is the one before the next, but for the last step; a reset step's is not used.
            after = torch.cat([values[1:], self.network.values(played.following[-1])[None]])
            logs = self.network(seen).log_softmax(1).gather(1, played.actions.flatten()[:, None]).view_as(values)
        gained = advantages(
            played.rewards, values, after, played.terminated, played.done, params.discount, params.trace
        )
        rows = played.valid.flatten().nonzero().squeeze(1)
        data = (played.observations, played.actions, logs, gained, (gained + values) / unit)
        observations, actions, before, gains, returns = (part.flatten(0, 1)[rows] for part in data)
        losses = [
            self._learn(observations[some], actions[some], before[some], gains[some], returns[some], params)
            for _ in range(params.passes)
            for some in torch.randperm(len(rows), generator=self.generator).split(params.minibatch)
            if len(some) > 1
        ]
        entropy, moved, error = torch.stack(losses).mean(0)
        explained = 1 - (returns - values.flatten()[rows] / unit).var() / returns.var().clamp(min=1e-8)
        return {
            "train_entropy": entropy,
            "train_kl": moved,
            "train_value_error": error,
            "train_explained_variance": explained,
        }

    @torch.no_grad()
    def _play(self, games: Games, steps: int) -> Step:
        """What happened, (steps, games) each."""
        actor = Actor(self.network.actions)
        found = [self.cut(games.step(actor.draw(games.observations, self.generator))) for _ in range(steps)]
        return Step(*(torch.stack(part) for part in zip(*found, strict=True)))

    def _learn(
        self, observations: Tensor, actions: Tensor, before: Tensor, gains: Tensor, returns: Tensor, params: Params
    ) -> Tensor:
        """One step on a minibatch. Returns entropy, change of the policy (Schulman's estimate of the KL), error.

        before: the logarithm of each action's probability when it was taken.  returns: in units of `return_unit`.
        """
        scores = self.network(observations).log_softmax(1)
        change = scores.gather(1, actions[:, None]).squeeze(1) - before
        ratio = change.exp()
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        clipped = ratio.clamp(1 - params.clip, 1 + params.clip)
        loss = -torch.minimum(ratio * gains, clipped * gains).mean()
        error = functional.mse_loss(self.network.value(observations).squeeze(1), returns)
        weight = params.final_entropy + (params.entropy - params.final_entropy) * self.left
        certain = scores if weight else scores.detach()
        entropy = -(certain.exp() * certain).sum(1).mean()
        self.descend(loss + params.value_weight * error - weight * entropy)
        moved = (ratio.detach() - 1 - change.detach()).mean()
        return torch.stack([entropy.detach(), moved, error.detach()])

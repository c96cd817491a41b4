"""REINFORCE with a learnt baseline (Williams 1992; Sutton and Barto 2018, section 13.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.families.agents.training.advantages import advantages
from components.families.agents.training.agent import Agent
from components.families.agents.training.games import Games, Step
from components.families.agents.training.networks import Actor


class Reinforce(Agent):
    """Every update plays one whole episode in each game and takes one step."""

    def update(self, games: Games) -> dict[str, Tensor | float]:
        params = self.params.reinforce
        played = self._play(games)
        rows = played.valid.flatten().nonzero().squeeze(1)
        with torch.no_grad():
            # The value counts only where the time limit cut an episode off: the sum of all rewards is known elsewhere.
            last = self.network.values(played.following.flatten(0, 1)).view_as(played.rewards)
            cut_off = played.done * (1 - played.terminated)
            none = torch.zeros_like(last)
            returns = advantages(
                played.rewards + params.discount * last * cut_off,
                none, none, played.terminated, played.done, params.discount, 1.0,
            )  # fmt: skip
        data = (played.observations, played.actions, returns)
        observations, actions, returns = (part.flatten(0, 1)[rows] for part in data)
        values = self.network.values(observations)
        scores = self.network(observations).log_softmax(1)
        gains = returns - values.detach()
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        policy = -(scores.gather(1, actions[:, None]).squeeze(1) * gains).mean()
        entropy = -(scores.exp() * scores).sum(1).mean()
        error = functional.mse_loss(values / self.params.return_unit, returns / self.params.return_unit)
        self.descend(policy + params.value_weight * error - params.entropy * entropy)
        return {"train_entropy": entropy.detach(), "train_value_error": error.detach()}

    @torch.no_grad()
    def _play(self, games: Games) -> Step:
        """One episode in each game, (steps, games); steps after its end are not valid."""
        found, running = [], torch.ones(games.count, device=games.device)
        actor = Actor(self.network.actions)
        while running.any():
            step = games.step(actor.draw(games.observations, self.generator))
            found.append(self.cut(step)._replace(valid=step.valid * running))
            # The step after the end resets the game, and what follows belongs to no episode of this update.
            running = running * (1 - step.done)
        return Step(*(torch.stack(part) for part in zip(*found, strict=True)))

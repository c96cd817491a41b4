"""Proximal policy optimisation of a driver that has learnt by imitation (Schulman et al. 2017). It uses rewards only.

The policy is a normal distribution around the network's actions; what the game gets is within its ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from components.datasets.driving.game_reader import Racing
from components.families.agents.training.advantages import advantages
from components.labs.driving.params import Train
from components.labs.driving.training.collection import Drive, Eyes, action_of
from components.labs.driving.training.network import Driver

MEASURED = ("train_entropy", "train_kl", "train_value_error")

Descend = Callable[[Tensor], None]
"""Takes one step of the optimizer down a loss."""


class Played(NamedTuple):
    """Decisions of whole episodes (N, ...), as `Driver` sees them; gains and returns are in units of `return_unit`."""

    pictures: Tensor
    readings: Tensor
    actions: Tensor
    logs: Tensor
    gains: Tensor
    returns: Tensor


class FineTuning(nn.Module):
    """What PPO needs beside the network: the value of what is seen, and how widely actions are drawn."""

    def __init__(self, params: Train) -> None:
        super().__init__()
        self.params, self.hold = params.fine_tuning, params.hold
        self.critic = Driver(params.channels, params.hidden_size, outputs=1)
        self.log_deviation = nn.Parameter(torch.full((3,), log(params.fine_tuning.deviation)))

    @torch.no_grad()
    def play(
        self, drive: Drive, racing: Racing, seeds: Sequence[int], draw: torch.Generator
    ) -> tuple[Played, list[float]]:
        """An episode on the track of each seed, and their returns."""
        episodes = [self._episode(drive, racing, seed, draw) for seed in seeds]
        played = Played(*(torch.cat(parts) for parts in zip(*(episode for episode, _ in episodes), strict=True)))
        return played, [total for _, total in episodes]

    def learn(
        self, network: nn.Module, played: Played, draw: torch.Generator, descend: Descend, critic_only: bool
    ) -> dict[str, Tensor]:
        """Passes over what was played. Returns the policy's entropy, its change, and the value's error."""
        found = []
        for _ in range(self.params.passes):
            for rows in torch.randperm(len(played.actions), generator=draw).split(self.params.minibatch):
                if len(rows) > 1:
                    some = Played(*(part[rows].to(self.log_deviation.device) for part in played))
                    policy, entropy, moved = self._policy_loss(network, some)
                    error = (self.critic(some.pictures, some.readings).squeeze(1) - some.returns).square().mean()
                    descend(error if critic_only else policy + error)
                    found.append(torch.stack([entropy, moved, error]).detach())
        return dict(zip(MEASURED, torch.stack(found).mean(0), strict=True))

    def _policy_loss(self, network: nn.Module, some: Played) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped loss, the entropy, and the change of the policy (Schulman's estimate of the KL divergence)."""
        policy = Normal(network(some.pictures, some.readings), self.log_deviation.exp())
        change = policy.log_prob(some.actions).sum(1) - some.logs
        ratio = change.exp()
        gains = (some.gains - some.gains.mean()) / (some.gains.std() + 1e-8)
        clipped = ratio.clamp(1 - self.params.clip, 1 + self.params.clip)
        loss = -torch.minimum(ratio * gains, clipped * gains).mean()
        return loss, policy.entropy().sum(1).mean(), (ratio - 1 - change).mean()

    def _episode(self, drive: Drive, racing: Racing, seed: int, draw: torch.Generator) -> tuple[Played, float]:
        racing.start(seed)
        eyes, over = Eyes(), False
        seen, actions, logs, rewards = list[tuple[Tensor, Tensor]](), list[Tensor](), list[Tensor](), list[float]()
        while not over:
            seen.append(eyes.look(racing.frame()))
            # Drawn on the CPU, whose generator draws the same numbers everywhere.
            policy = Normal(drive(*seen[-1]).float().cpu(), self.log_deviation.exp().cpu())
            actions.append(policy.mean + policy.stddev * torch.randn(policy.mean.shape, generator=draw))
            logs.append(policy.log_prob(actions[-1]).sum(1))
            reward, over = racing.hold(action_of(actions[-1]), self.hold)
            rewards.append(reward)
        pictures, readings = (torch.cat(parts) for parts in zip(*seen, eyes.look(racing.frame()), strict=True))
        device = self.log_deviation.device
        values = self.critic(pictures.to(device), readings.to(device)).float().cpu()
        gains = self._advantages(rewards, values, cut_off=racing.frames >= racing.max_frames)
        played = Played(
            pictures[:-1], readings[:-1], torch.cat(actions), torch.cat(logs), gains, gains + values[:-1].squeeze(1)
        )
        return played, sum(rewards)

    def _advantages(self, rewards: list[float], values: Tensor, cut_off: bool) -> Tensor:
        """(N,) of an episode. values: (N + 1, 1), the last one of what was seen at its end, which the time limit cut
        off or which ended by itself."""
        earned, ends = torch.tensor(rewards)[:, None] / self.params.return_unit, torch.zeros(len(rewards), 1)
        ends[-1] = 1
        terminated = torch.zeros_like(ends) if cut_off else ends
        discount, trace = self.params.discount, self.params.trace
        return advantages(earned, values[:-1], values[1:], terminated, ends, discount, trace).squeeze(1)

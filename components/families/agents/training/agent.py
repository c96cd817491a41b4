"""What the algorithms share: epochs of games from (seed, epoch), validation, the rate's fall, and its stages."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from components.datasets.environments.reader import Environment
from components.families.agents.params import Train
from components.families.agents.training.games import Games, Step, first_episodes
from components.families.agents.training.history import History
from components.families.agents.training.networks import Network
from components.families.agents.training.preprocessing import preprocessing
from components.families.agents.training.stages import Stages
from components.training.epochs import epoch_seed, generator
from components.training.lr_schedule import set_learning_rate


class Agent(pl.LightningModule):
    """A policy that learns by playing. Optimisation is manual: one training step is one update, games included.

    All that is drawn in an epoch comes from (seed, epoch), and its games begin anew with it, so that a training which
    was killed goes on as if it had not been.
    """

    def __init__(self, environment: Environment, params: Train) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.environment, self.params = environment.varied(params.options), params
        chosen = params.chosen
        self.preprocessing = preprocessing(environment, params)
        self.network = Network(
            self.preprocessing.size, chosen.hidden_sizes, environment.action_count, params.return_unit
        )
        self.stages = Stages(self.network.actions, params.max_epochs)
        self.history = History(params.max_epochs)
        self._games: Games | None = None
        self._judging: Games | None = None
        self._since = 0.0
        self.generator = generator(0)

    @abstractmethod
    def update(self, games: Games) -> dict[str, Tensor | float]:
        """Plays, learns from it, and returns what is to be logged."""

    def greedy(self, seen: Tensor) -> Tensor:
        """The best action (B,) for each of what is seen (B, size): what is exported."""
        return self.network(seen).argmax(1)

    def probabilities(self, observations: Tensor) -> Tensor:
        """(B, actions): how likely the policy takes each action, of raw observations (B, ...)."""
        return self.network(self.preprocessing(observations)).softmax(1)

    @property
    def games(self) -> Games:
        """In which it learns."""
        if self._games is None:
            self._games = Games(self.environment, self.params.chosen.games, self.preprocessing)
        return self._games

    def on_train_start(self) -> None:
        self._since = time.monotonic()

    def on_train_epoch_start(self) -> None:
        seed = epoch_seed(self.params.seed, self.current_epoch)
        self.generator = generator(seed)
        self.games.begin("train", seed, self.device)

    def training_step(self, batch: Tensor, index: int) -> None:
        done = self.current_epoch + index / self.params.chosen.updates
        self.left = 1 - done / self.params.max_epochs
        set_learning_rate(self.optimizers(), self.params.chosen.learning_rate * self.left)
        found = self.update(self.games)
        if index + 1 == self.params.chosen.updates:  # Lightning writes the curve before it calls on_train_epoch_end
            found["train_return"] = self.games.mean_return
            found["env_steps"] = self.history.env_steps() + self.games.played
        self.log_dict(found, on_step=False, on_epoch=True, batch_size=1)

    def validation_step(self, batch: Tensor, index: int) -> None:
        returns = self._judged(0.0)
        noisy = self._judged(self.params.validation_noise) if self.params.validation_noise else returns
        clean = sum(returns) / len(returns)
        found = {"val_return": clean, "val_min_return": min(returns), "val_noisy_return": sum(noisy) / len(noisy)}
        # Where many epochs reach the highest return that there is, the steadiest of them is kept.
        self.log_dict({**found, "val_score": (clean + found["val_noisy_return"]) / 2}, batch_size=1)

    def _judged(self, noise: float) -> list[float]:
        """Returns of validation episodes. noise: of each number that is observed, as a share of its unit."""
        draw = generator(self.params.seed)

        def see(observations: Tensor) -> Tensor:
            if noise:
                observations = self.preprocessing.disturbed(observations, noise, draw)
            found: Tensor = self.preprocessing(observations)
            return found

        if self._judging is None:
            self._judging = Games(self.environment, self.params.validation_episodes, see)
        self._judging.see = see
        self._judging.begin("validation", 0, self.device)
        return first_episodes(self._judging, self.greedy)

    def on_train_epoch_end(self) -> None:
        self.stages.record(self.current_epoch + 1)
        before, self._since = self._since, time.monotonic()
        self.history.record(self.current_epoch, self.trainer.callback_metrics, self._since - before)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.params.chosen.learning_rate, eps=1e-5, fused=True)

    def cut(self, step: Step) -> Step:
        """The step as it is learnt from: where a point ends what its rewards are for, a reward terminates."""
        if not self.params.point_ends:
            return step
        scored = (step.rewards != 0).float()
        return step._replace(terminated=step.terminated.maximum(scored), done=step.done.maximum(scored))

    def descend(self, loss: Tensor) -> None:
        """One step of the optimizer, with a bounded gradient."""
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(loss)
        # Each network by itself: the value's error is large at first, and would make the policy's steps small.
        for part in (self.network.actions, self.network.value):
            nn.utils.clip_grad_norm_(part.parameters(), self.params.chosen.gradient_norm)
        optimizer.step()

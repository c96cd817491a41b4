"""The driving network's training: it imitates the expert on what it meets itself, from labels and no rewards.

Where it is asked for, epochs of PPO follow, which use rewards and no labels.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from components.labs.driving.params import Train
from components.labs.driving.training.collection import Eyes, action_of
from components.labs.driving.training.curve import Curve
from components.labs.driving.training.film import Film
from components.labs.driving.training.fine_tuning import MEASURED, FineTuning
from components.labs.driving.training.network import Driver
from components.labs.driving.training.rounds import Batch
from components.training.epochs import epoch_seed, generator
from components.training.lr_schedule import set_learning_rate

WEIGHTS = (2.0, 1.0, 1.0)
"""Weights of the errors of steering, gas and brake in the loss."""
ERRORS = ("train_loss", "train_steering_error", "train_gas_error", "train_brake_error")


class DrivingModel(pl.LightningModule):
    """The network, its film and its curve. Optimisation is manual: the rate is a function of the step in the round.

    So it trains in one process only, which is what driving one episode after the other needs.
    """

    monitor = "val_return"

    def __init__(self, params: Train) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.params = params
        self.network = Driver(params.channels, params.hidden_size)
        self.film = Film(params.film_rounds)
        self.curve = Curve(params.max_epochs)
        self.register_buffer("weights", torch.tensor(WEIGHTS), persistent=False)
        self.fine_tuning = FineTuning(params) if params.fine_tuning.epochs else None
        self._returns: list[float] = []
        self._driven: list[float] = []
        """Returns of this epoch's rollouts."""
        self._since = 0.0

    @torch.no_grad()
    def drive(self, pictures: Tensor, readings: Tensor) -> Tensor:
        """Actions (B, 3) of pictures (B, 2, 42, 48) uint8 and readings (B, 2, 9)."""
        actions: Tensor = self.network(pictures.to(self.device), readings.to(self.device))
        return actions

    def on_fit_start(self) -> None:
        self._since = time.monotonic()  # before the first round is driven

    def on_train_epoch_start(self) -> None:
        self._driven = []

    def training_step(self, batch: Batch | Tensor, index: int) -> None:
        if isinstance(batch, Batch):
            self._imitate(batch, index)
        else:
            self._reinforce(index)

    def _imitate(self, batch: Batch, index: int) -> None:
        optimizer = self._optimizer(0)
        set_learning_rate(optimizer, self.params.learning_rate * self._share(index))
        errors = (self.network(batch.pictures, batch.readings) - batch.actions).abs().mean(dim=0)
        loss = (errors * self.weights).mean()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        found = dict(zip(ERRORS, (loss.detach(), *errors.detach()), strict=True))
        self._log(found, len(batch.actions))

    def _log(self, found: dict[str, Tensor], count: int) -> None:
        """The curve has the columns of its first row: what an epoch has not is 0 there."""
        absent = dict.fromkeys((*ERRORS, *MEASURED), torch.zeros(())) if self.fine_tuning else {}
        self.log_dict({**absent, **found}, on_step=False, on_epoch=True, batch_size=count)

    def _reinforce(self, index: int) -> None:
        """An update of PPO: what it draws is a function of (seed, epoch, index)."""
        assert self.fine_tuning is not None  # noqa: S101 - only then there are such epochs
        params, rounds = self.params.fine_tuning, self._rounds
        seed, done = epoch_seed(self.params.seed, self.current_epoch), self.current_epoch - self.params.rounds
        draw, (first, last) = generator(seed + 1 + index), rounds.environment.seeds["train"]
        seeds = torch.randint(first, last + 1, (params.tracks,), generator=draw).tolist()
        played, returns = self.fine_tuning.play(self.drive, rounds.racing(), seeds, draw)
        self._driven += returns
        self.curve.frames += len(played.actions) * self.params.hold
        set_learning_rate(
            self._optimizer(1), params.learning_rate * (1 - (done + index / params.updates) / params.epochs)
        )
        critic_only = done < params.critic_epochs
        self._log(self.fine_tuning.learn(self.network, played, draw, self._descend, critic_only), 1)

    def _descend(self, loss: Tensor) -> None:
        optimizer = self._optimizer(1)
        optimizer.zero_grad()
        self.manual_backward(loss)
        for part in (self.network, self.fine_tuning):  # each by itself: the value's error is large at first
            torch.nn.utils.clip_grad_norm_(part.parameters(), self.params.fine_tuning.gradient_norm)  # type: ignore[union-attr]
        optimizer.step()

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Drives on the track of a seed, (1,)."""
        seen = self._episode(int(batch))
        if index == 0:
            self.film.record(self.current_epoch, seen)

    def on_validation_epoch_end(self) -> None:
        returns, self._returns = torch.tensor(self._returns), []
        newest = self._rounds.rounds[-1]
        if self.current_epoch < self.params.rounds:
            self._driven = newest.returns.tolist()  # by those who drove this round's rollouts: the network before it
            self.curve.frames += len(newest.actions) * self.params.hold
        driven = torch.tensor(self._driven).mean()
        before, self._since = self._since, time.monotonic()
        self.curve.record(self.current_epoch, returns.mean(), driven, self._since - before)
        self.log_dict(
            {
                "val_return": returns.mean(),
                "val_min_return": returns.min(),
                "round_return": driven,
                "driven_frames": self.curve.frames.float(),
            }
        )

    def configure_optimizers(self) -> Any:
        imitation = torch.optim.Adam(self.network.parameters(), lr=self.params.learning_rate)
        if self.fine_tuning is None:
            return imitation
        everything = [*self.network.parameters(), *self.fine_tuning.parameters()]
        return [imitation, torch.optim.Adam(everything, lr=self.params.fine_tuning.learning_rate)]

    def _optimizer(self, number: int) -> Any:
        """0: of imitation, 1: of PPO."""
        found = self.optimizers()
        return found[number] if isinstance(found, list) else found

    @property
    def _rounds(self) -> Any:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _share(self, step: int) -> float:
        """Share of the learning rate at a step of the round: 1, and in the last round a linear fall to 0."""
        last = self.current_epoch == self.params.rounds - 1
        return 1 - step / self.params.updates_of(self.current_epoch) if last else 1.0

    def _episode(self, seed: int) -> list[np.ndarray]:
        racing, eyes, frames = self._rounds.racing(), Eyes(), list[np.ndarray]()
        racing.start(seed)
        total, over = 0.0, False
        while not over:
            frames.append(racing.frame())
            reward, over = racing.hold(action_of(self.drive(*eyes.look(frames[-1]))), self.params.hold)
            total += reward
        self._returns.append(total)
        return frames

"""The driving network's training: it imitates the expert on what it meets itself. No reward is used: only labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from components.labs.driving.params import Train
from components.labs.driving.training.collection import Eyes, action_of
from components.labs.driving.training.film import Film
from components.labs.driving.training.network import Driver
from components.labs.driving.training.rounds import Batch
from components.training.lr_schedule import set_learning_rate

WEIGHTS = (2.0, 1.0, 1.0)
"""Weights of the errors of steering, gas and brake in the loss."""


class DrivingModel(pl.LightningModule):
    """The network and its film. Optimisation is manual: the learning rate is a function of the step within the round.

    So it trains in one process only, which is what driving one episode after the other needs.
    """

    monitor = "val_return"

    def __init__(self, params: Train) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.params = params
        self.network = Driver(params.channels, params.hidden_size)
        self.film = Film(params.film_rounds)
        self.register_buffer("weights", torch.tensor(WEIGHTS), persistent=False)
        self._returns: list[float] = []

    @torch.no_grad()
    def drive(self, pictures: Tensor, gauges: Tensor) -> Tensor:
        """Actions (B, 3) of pictures (B, 2, 42, 48) uint8 and gauges (B, 2, 9)."""
        actions: Tensor = self.network(pictures.to(self.device), gauges.to(self.device))
        return actions

    def training_step(self, batch: Batch, index: int) -> None:
        optimizer: Any = self.optimizers()
        set_learning_rate(optimizer, self.params.learning_rate * self._share(index))
        errors = (self.network(batch.pictures, batch.gauges) - batch.actions).abs().mean(dim=0)
        loss = (errors * self.weights).mean()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        names = ("train_loss", "train_steering_error", "train_gas_error", "train_brake_error")
        logged = dict(zip(names, (loss.detach(), *errors.detach()), strict=True))
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(batch.actions))

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Drives on the track of a seed, (1,)."""
        seen = self._episode(int(batch))
        if index == 0:
            self.film.record(self.current_epoch, seen)

    def on_validation_epoch_end(self) -> None:
        returns, self._returns = torch.tensor(self._returns), []
        rounds: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        driven = rounds.rounds[-1].returns.mean()  # by those who drove this round's rollouts: the network before it
        frames = float(sum(len(found.actions) for found in rounds.rounds) * self.params.hold)
        self.log_dict(
            {
                "val_return": returns.mean(),
                "val_min_return": returns.min(),
                "round_return": driven,
                "driven_frames": frames,
            }
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.params.learning_rate)

    def _share(self, step: int) -> float:
        """Share of the learning rate at a step of the round: 1, and in the last round a linear fall to 0."""
        last = self.current_epoch == self.params.max_epochs - 1
        return 1 - step / self.params.updates_of(self.current_epoch) if last else 1.0

    def _episode(self, seed: int) -> list[np.ndarray]:
        rounds: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        racing, eyes, frames = rounds.racing(), Eyes(), list[np.ndarray]()
        racing.start(seed)
        total, over = 0.0, False
        while not over:
            frames.append(racing.frame())
            reward, over = racing.hold(action_of(self.drive(*eyes.look(frames[-1]))), self.params.hold)
            total += reward
        self._returns.append(total)
        return frames

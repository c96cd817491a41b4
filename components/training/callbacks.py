"""Lightning callbacks of the train step: a seed for each step, the curve, a line for each epoch, lasting patience."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from components.errors import UserError
from components.files import write_text

log = logging.getLogger(__name__)


class StepSeed(pl.Callback):
    """Makes dropout and every other draw of a step a function of (seed, step, rank), so that a resumed run repeats it.

    Once an epoch is not enough: Lightning draws between epochs too, and not the same after a restart.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_rank * 500_009 + trainer.global_step)


class Patience(EarlyStopping):
    """Early stopping that a kill right after its decision does not undo."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class Curve(pl.Callback):
    """A row of metrics for each epoch, in the checkpoint (so that a resumed run keeps it) and in a CSV file.

    Where several processes train together, the row is their mean.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {
            name: float(trainer.strategy.reduce(value.clone(), reduce_op="mean"))
            for name, value in sorted(trainer.callback_metrics.items())
        }
        self.rows.append({"step": trainer.global_step, "epoch": trainer.current_epoch, **metrics})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        if trainer.is_global_zero:
            write_text(self.path, text.getvalue())

    def best(self, monitor: str, direction: str) -> dict[str, float]:
        """The row of the epoch with the best `monitor`, the earliest of equals: the one whose weights were kept.

        direction: "min" or "max", which way is better.
        """
        return (min if direction == "min" else max)(self.rows, key=lambda row: row[monitor])

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


class EpochLine(pl.Callback):
    """One log line an epoch, for terminals and log files alike.

    Raises UserError where the metric is no longer a number: such weights do not recover.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch, value = trainer.current_epoch + 1, float(trainer.callback_metrics[self.monitor])
        if trainer.is_global_zero:
            took = time.monotonic() - self.started
            log.info("epoch %d of %s: %s %.4f (%.1f s)", epoch, trainer.max_epochs, self.monitor, value, took)
        if not math.isfinite(value):
            raise UserError(
                f"{self.monitor} is {value} after epoch {epoch}: training diverged; lower its learning rate"
            )

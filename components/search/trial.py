"""One trial: a training with the values that were drawn, which ends early where it is worse than most."""

from __future__ import annotations

import csv
import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.config import TrainParams
from components.errors import UserError
from components.labs import Inputs, Lab, Monitor
from components.steps.train import train

if TYPE_CHECKING:
    from optuna.trial import Trial
    from pytorch_lightning.loggers.logger import Logger


class TrialError(UserError):
    """A trial comes to no result for a reason of its own, such as a training that diverged; the search goes on."""


def run_trial(
    trial: Trial, lab: Lab, params: TrainParams, inputs: Inputs, folder: Path, loggers: list[Logger]
) -> dict[str, float]:
    """Trains in `folder`, from the last epoch boundary where an earlier attempt was killed there.

    Returns the best epoch's metrics. Raises TrialPruned, TrialError, and what the step train raises.
    """
    checkpoints = folder / "checkpoints"
    known = _curve(checkpoints)
    watch = watching(trial, lab.monitor, known)
    try:
        return train(lab, params, inputs, folder / "train", checkpoints, [watch, *loggers])
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    except UserError as error:
        if any(not math.isfinite(value) for value in _figures(lab.monitor, _curve(checkpoints)).values()):
            raise TrialError(str(error)) from None
        raise


def watching(trial: Trial, monitor: Monitor, rows: list[dict[str, float]]) -> Logger:
    """A Lightning logger that tells Optuna the figure of each epoch, and raises TrialPruned where Optuna says so.

    rows: of the training's curve so far, which the trial's earlier attempt told and this one repeats.
    """
    import optuna
    from pytorch_lightning.loggers.logger import Logger

    def tell(epoch: int, value: float) -> None:
        if epoch not in told and math.isfinite(value):
            told.add(epoch)
            trial.report(value, epoch)

    class Watch(Logger):
        name = "search"
        version = trial.number

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            if monitor.name in metrics and "epoch" in metrics:
                tell(int(metrics["epoch"]), float(metrics[monitor.name]))
                if trial.should_prune():
                    raise optuna.TrialPruned

        def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
            pass

    told: set[int] = set()
    for epoch, value in _figures(monitor, rows).items():
        tell(epoch, value)
    if told and trial.should_prune():  # it was killed between the figure and its consequence
        raise optuna.TrialPruned
    return Watch()


def _figures(monitor: Monitor, rows: list[dict[str, float]]) -> dict[int, float]:
    return {int(row["epoch"]): row[monitor.name] for row in rows if monitor.name in row}


def _curve(checkpoints: Path) -> list[dict[str, float]]:
    """The rows of the training that has its checkpoints there, oldest first; none before its first epoch has ended."""
    for path in checkpoints.glob("*/*/curve.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return []

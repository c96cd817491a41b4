"""The epoch that is kept is the one with the best monitored figure, whichever way is better."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from components.config import TrainParams
from components.errors import UserError
from components.labs import Inputs, Monitor, find
from components.steps.train import train

PARAMS = TrainParams(seed=1, max_epochs=4, patience=4, precision="32-true", log_every_n_steps=1)
FIGURES = (1.0, 3.0, 2.0, 0.5)
"""What validation measures after each epoch."""


class Counting(pl.LightningModule):
    """A model whose one weight is the number of the steps that it took."""

    def __init__(self, automatic: bool = True) -> None:
        super().__init__()
        self.automatic_optimization = automatic
        self.steps = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return -self.steps.sum()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("figure", FIGURES[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class OneBatch(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        return DataLoader(torch.zeros(1, 1))  # type: ignore[arg-type]

    val_dataloader = train_dataloader


class CountingLab(type(find("music"))):  # type: ignore[misc]
    def __init__(self, monitor: Monitor, automatic: bool = True) -> None:
        self.monitor, self.automatic = monitor, automatic

    def module(self, inputs: Inputs, params: TrainParams) -> pl.LightningModule:
        return Counting(self.automatic)

    def data(self, inputs: Inputs, params: TrainParams) -> pl.LightningDataModule:
        return OneBatch()


def trained(lab: CountingLab, folder: Path, params: TrainParams = PARAMS) -> tuple[dict[str, float], int]:
    """The best epoch's metrics, and the number of steps that the kept model took: one an epoch."""
    (folder / "prepare").mkdir(exist_ok=True)
    metrics = train(lab, params, Inputs(folder / "prepare"), folder / "train", folder / "checkpoints")
    kept = torch.load(folder / "train" / "model.ckpt", weights_only=True)["state_dict"]
    return metrics, round(float(kept["steps"]))


@pytest.mark.parametrize(("direction", "epoch"), [("min", 3), ("max", 1)])
def test_the_epoch_with_the_best_figure_is_kept(direction: str, epoch: int, tmp_path: Path) -> None:
    lab = CountingLab(Monitor("figure", direction))  # type: ignore[arg-type]
    metrics, steps = trained(lab, tmp_path)
    assert (metrics["epoch"], metrics["figure"]) == (epoch, FIGURES[epoch])
    assert steps == epoch + 1


@pytest.mark.parametrize(("direction", "epochs"), [("min", 2), ("max", 3)])
def test_patience_is_lost_over_epochs_that_are_not_better(direction: str, epochs: int, tmp_path: Path) -> None:
    lab = CountingLab(Monitor("figure", direction))  # type: ignore[arg-type]
    trained(lab, tmp_path, PARAMS.model_copy(update={"patience": 1}))
    rows = (tmp_path / "train" / "curve.csv").read_text().splitlines()[1:]
    assert len(rows) == epochs


def test_clipping_the_gradient_of_a_model_that_takes_its_own_steps_is_one_line(tmp_path: Path) -> None:
    clipped = PARAMS.model_copy(update={"gradient_clip": 1.0})
    with pytest.raises(UserError) as refused:
        trained(CountingLab(Monitor("figure"), automatic=False), tmp_path, clipped)
    assert str(refused.value) == ("music takes its optimizers' steps itself: leave out music.train.gradient_clip")
    assert not (tmp_path / "train").exists()
    assert trained(CountingLab(Monitor("figure")), tmp_path, clipped)[1] == 4

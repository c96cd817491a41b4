"""The best of a sweep is the best by one and the same figure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from components.errors import UserError
from components.files import write_json
from components.labs import Monitor
from pipelines.sweep import best_of


def trained(folder: Path, **metrics: float) -> Path:
    write_json(folder / "training.json", {"monitor": "val_loss", "metrics": metrics})
    return folder


@pytest.mark.parametrize(("direction", "index", "best"), [("min", 1, 0.2), ("max", 0, 0.3)])
def test_the_direction_of_the_figure_says_which_is_best_and_of_equals_the_first(
    direction: Literal["min", "max"], index: int, best: float, tmp_path: Path
) -> None:
    values = (0.3, 0.2, 0.2, 0.3)
    trainings = [trained(tmp_path / str(place), val_loss=value) for place, value in enumerate(values)]
    found = best_of(trainings, tmp_path / "out", Monitor("val_loss", direction))
    assert (found.index, found.metrics) == (index, {"val_loss": best})
    assert (tmp_path / "out" / "training.json").exists()


def test_trainings_of_different_kinds_of_model_have_no_best(tmp_path: Path) -> None:
    """As in a sweep over digit_generation.train.model: a VAE's nats say nothing beside a GAN's distances."""
    trainings = [
        trained(tmp_path / "vae", val_objective=80.0, val_divergence=12.0),
        trained(tmp_path / "gan", val_objective=0.01),
    ]
    with pytest.raises(UserError, match="are of different kinds, sweep over each apart"):
        best_of(trainings, tmp_path / "out", Monitor("val_objective"))
    assert not (tmp_path / "out").exists()

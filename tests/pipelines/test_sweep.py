"""The best of a sweep is the best by one and the same figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import UserError
from components.files import write_json
from pipelines.sweep import best_of


def trained(folder: Path, monitor: str, value: float) -> Path:
    write_json(folder / "training.json", {"monitor": monitor, "metrics": {monitor: value}})
    return folder


def test_the_lowest_figure_is_the_best_and_of_equals_the_first(tmp_path: Path) -> None:
    values = (0.3, 0.2, 0.2)
    trainings = [trained(tmp_path / str(place), "val_loss", value) for place, value in enumerate(values)]
    best = best_of(trainings, tmp_path / "out")
    assert (best.index, best.metrics) == (1, {"val_loss": 0.2})
    assert (tmp_path / "out" / "training.json").exists()


def test_trainings_that_watched_different_figures_have_no_best(tmp_path: Path) -> None:
    """A sweep over images.model: a vae's nats say nothing beside a gan's distances."""
    trainings = [
        trained(tmp_path / "vae", "val_loss", 80.0),
        trained(tmp_path / "gan", "val_sliced_distance", 0.01),
    ]
    with pytest.raises(UserError, match="watched val_loss and others val_sliced_distance: sweep over each apart"):
        best_of(trainings, tmp_path / "out")
    assert not (tmp_path / "out").exists()

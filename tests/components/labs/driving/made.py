"""A prepared dataset `driving` with short episodes, and the lab's parameters at small sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.datasets.driving import DATASET
from components.datasets.environments.params import EnvironmentParams
from components.datasets.environments.prepare import describe
from components.datasets.environments.reader import FILE, Environment
from components.files import write_json
from components.labs.driving.params import Train
from components.labs.driving.training.environment import Racing
from components.sources.catalogue import packages_of
from tests.face_data import section
from tests.workspace import SMOKE

FRAMES = 100


def environment(frames: int = FRAMES, **changes: Any) -> Environment:
    options = {"max_episode_steps": frames}
    params = section(EnvironmentParams, "datasets", "driving", options=options, **changes)
    return describe(DATASET.name, packages_of(DATASET.name), params)


def write_prepared(folder: Path, frames: int = FRAMES) -> Path:
    write_json(folder / FILE, environment(frames).model_dump(mode="json"))
    return folder


def train(**changes: Any) -> Train:
    small: dict[str, Any] = SMOKE["driving"]["train"]
    return section(Train, "driving", "train", **{**small, **changes})


def advanced(game: Racing, steps: int) -> Racing:
    """The game after some full gas, straight on."""
    game.start(5)
    game.hold(np.array([0.0, 1.0, 0.0]), steps)
    return game

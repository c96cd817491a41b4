"""A prepared dataset `driving` with short episodes, and the lab's parameters at small sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.bundle import write_bundle
from components.datasets.driving import DATASET
from components.datasets.driving.game_reader import Racing
from components.datasets.driving.params import DrivingParams
from components.datasets.environments.prepare import describe
from components.datasets.environments.reader import FILE, Environment
from components.files import write_json
from components.labs import Inputs
from components.labs.driving import LAB
from components.labs.driving.params import Export, Train
from components.sources.catalogue import packages_of
from tests.components.bundles import PROVENANCE
from tests.face_data import section
from tests.workspace import SMOKE

FRAMES = 100


def environment(frames: int = FRAMES, **changes: Any) -> Environment:
    options = {"max_episode_steps": frames}
    params = section(DrivingParams, "datasets", "driving", options=options, **changes)
    return describe(DATASET.name, packages_of(DATASET.name), params)


def write_prepared(folder: Path, frames: int = FRAMES) -> Path:
    write_json(folder / FILE, environment(frames).model_dump(mode="json"))
    return folder


def train(**changes: Any) -> Train:
    small: dict[str, Any] = SMOKE["driving"]["train"]
    tuning = section(Train, "driving", "train").fine_tuning.model_dump() | small["fine_tuning"]
    return section(Train, "driving", "train", **{**small, "fine_tuning": tuning, **changes})


def advanced(game: Racing, steps: int) -> Racing:
    """The game after some full gas, straight on."""
    game.start(5)
    game.hold(np.array([0.0, 1.0, 0.0]), steps)
    return game


def write_untrained(folder: Path, prepared: Path) -> Path:
    """A bundle, in `folder`, of a network that was never trained; it accelerates."""
    write_prepared(prepared)
    torch.manual_seed(0)
    model: Any = LAB.module(Inputs(prepared), train())
    with torch.no_grad():
        model.network.head.bias.copy_(torch.tensor([0.05, 0.6, 0.0]))
    spec = LAB.export(model, Inputs(prepared), folder, section(Export, "driving", "export", calibration_tracks=1))
    write_bundle(folder, "driving", spec, PROVENANCE)
    return folder

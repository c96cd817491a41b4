"""A game that is over soon, and agents that have just begun."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

from components.datasets import find_dataset
from components.datasets.environments.prepare import describe
from components.datasets.environments.reader import Environment
from components.families.agents.params import Train
from components.families.agents.training.agent import Agent
from components.families.agents.training.algorithms import agent
from components.labs import find
from components.params import load, load_dataset
from components.settings import project_root
from components.sources.catalogue import packages_of
from tests.workspace import SMOKE, overlaid


@cache
def cartpole(**options: Any) -> Environment:
    params: Any = load_dataset(find_dataset("cartpole"), project_root() / "params.yaml")
    return describe("cartpole", packages_of("cartpole"), params.model_copy(update={"options": options}))


@cache
def _small() -> Path:
    path = Path(mkdtemp()) / "params.yaml"
    overlaid(project_root() / "params.yaml", SMOKE, path)
    return path


def section(name: str) -> Any:
    """The lab cartpole's parameters, as small as the smoke test's."""
    return getattr(load(find("cartpole"), _small()), name)


def train_params(**changed: Any) -> Train:
    found: Train = section("train").model_copy(update=changed)
    return found


def new_agent(**changed: Any) -> Agent:
    torch.manual_seed(0)
    made = agent(cartpole(), train_params(**changed))
    optimizer: Any = made.configure_optimizers()
    made.optimizers = lambda *_, **__: optimizer  # type: ignore[method-assign]
    made.manual_backward = lambda loss, *_, **__: loss.backward()  # type: ignore[method-assign]
    made.left = 1.0
    return made

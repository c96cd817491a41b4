"""The agent of an algorithm's name."""

from __future__ import annotations

from components.datasets.environments.reader import Environment
from components.families.agents.params import Train
from components.families.agents.training.agent import Agent
from components.families.agents.training.dqn import Dqn
from components.families.agents.training.ppo import Ppo
from components.families.agents.training.reinforce import Reinforce

ALGORITHMS: dict[str, type[Agent]] = {"ppo": Ppo, "reinforce": Reinforce, "dqn": Dqn}


def agent(environment: Environment, params: Train) -> Agent:
    """A new agent for an environment."""
    return ALGORITHMS[params.algorithm](environment, params)

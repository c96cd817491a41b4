"""What the agents API works with, built from a bundle before the first request."""

from __future__ import annotations

import numpy as np

from components.datasets.environments.reader import Environment
from components.families.agents.params import AgentParams, Serve
from components.families.agents.runtime.policy import Policy
from components.sources.installed import check_installed
from serving.agents import openapi
from serving.agents.episodes import Episodes
from serving.agents.schemas import ActAnswer, ActRequest, act_request, episode_query
from serving.core.backend import Backend
from serving.core.bundles import Served
from serving.core.schemas import Info


class AgentsBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: AgentParams) -> None:
        """Loads the policy and warms it up. Raises UserError where its game is not installed in its version."""
        limits: Serve = params.serve
        self.environment = Environment.model_validate(served.bundle.spec["environment"])
        check_installed(self.environment.name, self.environment.packages)
        self.policy = Policy.load(served.bundle, served.variant)
        self.act_request, self.episode_query = act_request(limits, self.environment), episode_query(limits)
        self.episodes = Episodes(limits.waiting, limits.max_episodes)
        info = Info.of(served, limits, self.policy.providers)
        document = openapi.document(limits, served.version, self.environment)
        super().__init__(served, limits, self.episodes, info, document)
        self.policy(np.zeros((1, *self.environment.observation_shape)))

    def act(self, asked: ActRequest) -> ActAnswer:
        found = self.policy(np.array(asked.observations))
        return ActAnswer(actions=found.actions.tolist(), probabilities=found.probabilities.tolist(), model=self.origin)

    def decide(self, observation: np.ndarray) -> tuple[int, np.ndarray]:
        """The likeliest action for one observation, and the probabilities (actions,)."""
        found = self.policy(observation[None])
        return int(found.actions[0]), found.probabilities[0]

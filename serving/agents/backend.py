"""What the agents API works with, built from a bundle before the first request."""

from __future__ import annotations

import numpy as np

from components.config import LabParams
from components.datasets.environments.reader import Environment
from components.families.agents.params import Serve
from components.promoted import Served
from components.sources.installed import check_installed
from serving.agents import openapi
from serving.agents.episodes import Episodes
from serving.agents.games import Games
from serving.agents.players import player
from serving.agents.schemas import (
    ActAnswer,
    ActRequest,
    PlayAnswer,
    PlayRequest,
    act_request,
    episode_query,
    play_request,
)
from serving.core.backend import Backend
from serving.core.schemas import Info


class AgentsBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: LabParams) -> None:
        """Loads the policy and warms it up. Raises UserError where its game is not installed in its version."""
        limits = params.serve
        assert isinstance(limits, Serve)  # noqa: S101 - every lab of this API has it
        self.environment = Environment.model_validate(served.bundle.spec["environment"])
        check_installed(self.environment.name, self.environment.packages)
        self.player = player(served.bundle, served.variant, self.environment)
        dtype = self.environment.observation_dtype
        self.act_request, self.episode_query = act_request(limits, self.player.shape, dtype), episode_query(limits)
        self.play_request = play_request(limits, self.environment.action_count)
        self.episodes = Episodes(limits.waiting, limits.max_episodes)
        self._games = Games(self.player.game, limits.max_episodes)
        info = Info.of(served, limits, self.player.providers)
        document = openapi.document(limits, served.version, self.environment, self.player.shape)
        super().__init__(served, limits, self.episodes, info, document)
        self.player.decide(np.zeros((1, *self.player.shape)))

    def act(self, asked: ActRequest) -> ActAnswer:
        actions, probabilities = self.player.decide(np.array(asked.observations))
        return ActAnswer(actions=actions, probabilities=probabilities, model=self.origin)

    def play(self, asked: PlayRequest) -> PlayAnswer:
        return self._games.play(asked, self.origin)

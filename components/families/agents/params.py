"""Parameters that every lab of agents has: the types of their sections in params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.config import ExportParams, LabParams, Limits, Section, TrainParams, Width
from components.datasets.environments.params import Option

Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]


class Algorithm(Section):
    """What every algorithm needs."""

    hidden_sizes: tuple[Width, ...] = Field(min_length=1, max_length=4)
    games: int = Field(ge=1, le=1024)
    updates: int = Field(ge=1)
    learning_rate: Rate
    discount: float = Field(gt=0, lt=1)
    gradient_norm: Rate


class Ppo(Algorithm):
    """Proximal policy optimisation (Schulman et al. 2017)."""

    steps: int = Field(ge=2)
    passes: int = Field(ge=1)
    minibatch: int = Field(ge=2)
    trace: Share
    clip: float = Field(gt=0, lt=1)
    entropy: float = Field(ge=0)
    final_entropy: float = Field(ge=0)
    value_weight: float = Field(ge=0)


class Reinforce(Algorithm):
    """REINFORCE with a learnt baseline (Williams 1992)."""

    entropy: float = Field(ge=0)
    value_weight: float = Field(ge=0)


class Dqn(Algorithm):
    """Deep Q-learning with a double estimator (Mnih et al. 2015; van Hasselt, Guez and Silver 2016)."""

    steps: int = Field(ge=1)
    replay: int = Field(ge=1)
    warmup: int = Field(ge=1)
    minibatch: int = Field(ge=2)
    target_rate: float = Field(gt=0, le=1)
    first_exploration: Share
    last_exploration: Share
    exploration_steps: int = Field(ge=1)


class Train(TrainParams):
    """The algorithm and its training. Only the section of the chosen algorithm is read."""

    algorithm: Literal["ppo", "reinforce", "dqn"]
    preprocessing: Literal["scale", "pong_positions"]
    observation_unit: tuple[Rate, ...] = Field(min_length=1)
    point_ends: bool
    options: dict[str, Option]
    return_unit: Rate
    validation_episodes: int = Field(ge=1, le=1000)
    validation_noise: float = Field(ge=0)
    ppo: Ppo
    reinforce: Reinforce
    dqn: Dqn

    @property
    def chosen(self) -> Ppo | Reinforce | Dqn:
        if self.algorithm == "ppo":
            return self.ppo
        return self.reinforce if self.algorithm == "reinforce" else self.dqn

    @model_validator(mode="after")
    def _steps_itself(self) -> Self:
        if self.gradient_clip is not None:
            raise ValueError("an agent clips its gradients itself: leave gradient_clip out, gradient_norm is the bound")
        return self


class Export(ExportParams):
    calibration: int = Field(ge=16, le=100_000)
    film_seed: int = Field(ge=0)
    film_steps: int = Field(ge=1, le=5000)
    film_pictures: int = Field(ge=1, le=500)


class Evaluate(Section):
    """How the exported policy is judged, in gymnasium's own games."""

    episodes: int = Field(ge=1, le=10_000)
    robustness_episodes: int = Field(ge=1, le=10_000)
    noises: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    delays: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(min_length=1)
    variations: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], dict[str, Option]]
    failures: int = Field(ge=0, le=20)
    strip: int = Field(ge=1, le=20)
    seed: int = Field(ge=0, lt=2**32)
    resamples: int = Field(ge=100, le=100_000)
    max_quantisation_cost: float = Field(ge=0)


class Serve(Limits):
    """What the agents API takes on, and how much at once."""

    max_observations: int = Field(ge=1)
    max_episodes: int = Field(ge=1)
    max_steps: int = Field(ge=1)
    waiting: int = Field(ge=0)


class AgentParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

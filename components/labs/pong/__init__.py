"""An agent that plays Pong against the Atari's own player."""

from __future__ import annotations

from components.families.agents.evaluation.published import Published
from components.families.agents.lab import AgentLab
from components.labs.pong import params


class PongLab(AgentLab):
    name = "pong"
    dataset = "pong"
    gate_metrics = (*AgentLab.gate_metrics, "sticky_return")
    headline = ("mean_return", "min_return", "solved_share", "random_return", "sticky_return", "noisy_return")
    Params = params.PongParams
    published = (
        Published(
            "REINFORCE as the course's notebook of 2021 has it",
            None,
            "the notebook asks for a couple of hours of training, and gives no return",
        ),
        Published("PPO from pixels, RL Baselines3 Zoo", 20.99, "rl-zoo3, benchmark.md (10 million frames)"),
        Published("DQN from pixels, RL Baselines3 Zoo", 20.60, "rl-zoo3, benchmark.md (10 million frames)"),
        Published("A2C from pixels, RL Baselines3 Zoo", 17.3, "rl-zoo3, benchmark.md"),
    )


LAB = PongLab()

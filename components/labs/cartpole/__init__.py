"""An agent that balances a pole on a cart."""

from __future__ import annotations

from components.families.agents.evaluation.published import Published
from components.families.agents.lab import AgentLab
from components.labs.cartpole import params


class CartPoleLab(AgentLab):
    name = "cartpole"
    dataset = "cartpole"
    Params = params.CartPoleParams
    published = (
        Published(
            "REINFORCE as the course's notebook has it",
            (252.0, 498.0),
            "here: likeliest actions after its 500 episodes, five seeds (benchmarks.agents)",
        ),
        Published("PPO, RL Baselines3 Zoo", 500.0, "rl-zoo3, benchmark.md"),
        Published("PPO, CleanRL", 489.0, "CleanRL, docs/rl-algorithms/ppo.md (three seeds, +- 18)"),
    )


LAB = CartPoleLab()

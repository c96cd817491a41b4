"""Parameters of the lab cartpole."""

from components.families.agents.params import AgentParams


class CartPoleParams(AgentParams):
    """Those of every agent."""

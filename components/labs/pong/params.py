"""Parameters of the lab pong."""

from components.families.agents.params import AgentParams


class PongParams(AgentParams):
    """Those of every agent."""

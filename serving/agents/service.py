"""The agents API: `python -m serving.agents.service --help`, or `bentoml serve` of `service`."""

from serving.agents.backend import AgentsBackend
from serving.agents.routes import ROUTES
from serving.core.server import run
from serving.core.service import ApiDefinition, make_service

API = ApiDefinition("agents", AgentsBackend, ROUTES)

service = make_service(API)

if __name__ == "__main__":
    run(API)

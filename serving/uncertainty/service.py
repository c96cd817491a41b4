"""The uncertainty API: `python -m serving.uncertainty.service --help`, or `bentoml serve` of `service`."""

from serving.core.server import run
from serving.core.service import ApiDefinition, make_service
from serving.uncertainty.backend import UncertaintyBackend
from serving.uncertainty.routes import ROUTES

API = ApiDefinition("uncertainty", UncertaintyBackend, ROUTES)

service = make_service(API)

if __name__ == "__main__":
    run(API)

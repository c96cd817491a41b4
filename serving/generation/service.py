"""The generation API: `python -m serving.generation.service --help`, or `bentoml serve` of `service`."""

from serving.core.server import run
from serving.core.service import ApiDefinition, make_service
from serving.generation.backend import GenerationBackend
from serving.generation.routes import ROUTES

API = ApiDefinition("generation", GenerationBackend, ROUTES)

service = make_service(API)

if __name__ == "__main__":
    run(API)

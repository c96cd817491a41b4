"""The faces API: `python -m serving.faces.service --help`, or `bentoml serve` of `service`."""

from serving.core.server import run
from serving.core.service import ApiDefinition, make_service
from serving.faces.backend import FacesBackend
from serving.faces.comparison import COMPARED
from serving.faces.routes import ROUTES

API = ApiDefinition("faces", FacesBackend, ROUTES, COMPARED)

service = make_service(API)

if __name__ == "__main__":
    run(API)

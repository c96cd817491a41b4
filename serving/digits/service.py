"""The digits API: `python -m serving.digits.service --help`, or `bentoml serve` of `service`."""

from serving.core.server import run
from serving.core.service import ApiDefinition, make_service
from serving.digits.backend import DigitsBackend
from serving.digits.comparison import COMPARED
from serving.digits.routes import ROUTES

API = ApiDefinition("digits", DigitsBackend, ROUTES, COMPARED)

service = make_service(API)

if __name__ == "__main__":
    run(API)

"""The transfer API: `python -m serving.transfer.service --help`, or `bentoml serve` of `service`."""

from serving.core.server import run
from serving.core.service import ApiDefinition, make_service
from serving.transfer.backend import TransferBackend
from serving.transfer.routes import ROUTES

API = ApiDefinition("transfer", TransferBackend, ROUTES)

service = make_service(API)

if __name__ == "__main__":
    run(API)

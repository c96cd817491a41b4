"""The chat API: `python -m serving.chat.service --help`, or `bentoml serve` of `service`."""

from serving.chat.backend import ChatBackend
from serving.chat.routes import ROUTES
from serving.core.server import run
from serving.core.service import ApiDefinition, make_service

API = ApiDefinition("chat", ChatBackend, ROUTES)

service = make_service(API)

if __name__ == "__main__":
    run(API)

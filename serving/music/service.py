"""The music API: `python -m serving.music.service --help`, or `bentoml serve` of `service`."""

from serving.core.server import run
from serving.core.service import ApiDefinition, make_service
from serving.music.backend import MusicBackend
from serving.music.routes import ROUTES

API = ApiDefinition("music", MusicBackend, ROUTES)

service = make_service(API)

if __name__ == "__main__":
    run(API)

"""The images API as a BentoML service: `python -m serving.generation.service --help`.

The routes are in `serving.generation.routes`; `serving.core.request_guard.Door` stands in front of them.
"""

from __future__ import annotations

import bentoml

from serving import APIS
from serving.core import server
from serving.core.application import application
from serving.core.request_guard import Door
from serving.generation.backend import ImagesHouse
from serving.generation.routes import ROUTES

LAB = "images"
ALSO = APIS[LAB][1:]

app = application(LAB, ROUTES)


class Images:
    """Makes pictures."""

    def __init__(self) -> None:
        server.furnish(app, LAB, ImagesHouse, ALSO)
        self.house: ImagesHouse = app.state.house

    async def __is_ready__(self) -> bool:
        return not self.house.worker.draining

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        self.house.worker.stop()


service: bentoml.Service[Images] = bentoml.service(
    name=LAB,
    metrics={"enabled": False},  # they take any path that is asked for as a label
    logging={"access": {"enabled": False}},  # it repeats the door's
)(bentoml.asgi_app(app, path="/")(Images))
service.add_asgi_middleware(Door, rules=lambda: app.state.house.rules)


if __name__ == "__main__":
    server.run(service, app, LAB, ImagesHouse, ALSO)

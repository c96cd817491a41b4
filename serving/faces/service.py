"""The faces API as a BentoML service: `python -m serving.faces.service --help`.

The routes are in `serving.faces.routes`; `serving.core.request_guard.Door` stands in front of them.
"""

from __future__ import annotations

import bentoml

from serving.core import server
from serving.core.application import application
from serving.core.request_guard import Door
from serving.faces.backend import FacesHouse
from serving.faces.routes import ROUTES

LAB = "faces"

app = application(LAB, ROUTES)


class Faces:
    """Finds faces in photographs, and says how fairly it does."""

    def __init__(self) -> None:
        server.furnish(app, LAB, FacesHouse)
        self.house: FacesHouse = app.state.house

    async def __is_ready__(self) -> bool:
        return not self.house.worker.draining

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        self.house.worker.stop()


service: bentoml.Service[Faces] = bentoml.service(
    name=LAB,
    metrics={"enabled": False},  # they take any path that is asked for as a label
    logging={"access": {"enabled": False}},  # it repeats the door's
)(bentoml.asgi_app(app, path="/")(Faces))
service.add_asgi_middleware(Door, rules=lambda: app.state.house.rules)


if __name__ == "__main__":
    server.run(service, app, LAB, FacesHouse)

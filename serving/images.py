"""The images API as a BentoML service: `python -m serving.images --help`.

The routes are in `serving.gallery.api`; `serving.limits.Door` stands in front of them.
"""

from __future__ import annotations

import bentoml

from serving import APIS, server
from serving.api import application
from serving.gallery.api import ROUTES
from serving.gallery.house import ImagesHouse
from serving.limits import Door

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

"""The music API as a BentoML service: `python -m serving.music.service --help`.

BentoML brings the service's life (start, readiness, stop) and its packaging; the routes are in `serving.music.routes`,
and `serving.core.request_guard.Door` stands in front of both.
"""

from __future__ import annotations

import bentoml

from serving.core import server
from serving.core.application import application
from serving.core.request_guard import Door
from serving.music.backend import TuneHouse
from serving.music.routes import ROUTES

LAB = "music"

app = application(LAB, ROUTES)


class Music:
    """Irish folk tunes in ABC notation."""

    def __init__(self) -> None:
        server.furnish(app, LAB, TuneHouse)
        self.house: TuneHouse = app.state.house

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        self.house.batcher.start()

    async def __is_alive__(self) -> bool:
        return not self.house.batcher.failed

    async def __is_ready__(self) -> bool:
        return not (self.house.batcher.failed or self.house.batcher.draining)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        self.house.batcher.stop()
        self.house.player.stop()


service: bentoml.Service[Music] = bentoml.service(
    name=LAB,
    metrics={"enabled": False},  # they take any path that is asked for as a label
    logging={"access": {"enabled": False}},  # it repeats the door's
)(bentoml.asgi_app(app, path="/")(Music))
service.add_asgi_middleware(Door, rules=lambda: app.state.house.rules)


if __name__ == "__main__":
    server.run(service, app, LAB, TuneHouse)

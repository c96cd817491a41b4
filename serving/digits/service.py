"""The digits API as a BentoML service: `python -m serving.digits.service --help`.

The routes are in `serving.digits.routes`; `serving.core.request_guard.Door` stands in front of them.
"""

from __future__ import annotations

import bentoml

from serving import APIS
from serving.core import server
from serving.core.application import application
from serving.core.request_guard import Door
from serving.digits.backend import DigitsHouse
from serving.digits.routes import ROUTES

LAB = "digits"
ALSO = APIS[LAB][1:]

app = application(LAB, ROUTES)


class Digits:
    """Reads handwritten digits."""

    def __init__(self) -> None:
        server.furnish(app, LAB, DigitsHouse, ALSO)
        self.house: DigitsHouse = app.state.house

    async def __is_ready__(self) -> bool:
        return not self.house.worker.draining

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        self.house.worker.stop()


service: bentoml.Service[Digits] = bentoml.service(
    name=LAB,
    metrics={"enabled": False},  # they take any path that is asked for as a label
    logging={"access": {"enabled": False}},  # it repeats the door's
)(bentoml.asgi_app(app, path="/")(Digits))
service.add_asgi_middleware(Door, rules=lambda: app.state.house.rules)


if __name__ == "__main__":
    server.run(service, app, LAB, DigitsHouse, ALSO)

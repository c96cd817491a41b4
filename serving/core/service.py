"""From an API's definition to a BentoML service and its command.

BentoML brings a service's life (start, readiness, stop) and its packaging; the routes are Starlette's, and RequestGuard
stands in front of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import bentoml
from starlette.routing import BaseRoute

from components.apis import labs_of
from components.errors import UserError, shown
from components.labs import find
from components.params import load
from components.promoted import Served
from components.settings import project_root, settings
from serving.core.application import application
from serving.core.backend import Backend
from serving.core.bundles import REGISTRY, open_bundle
from serving.core.request_guard import RequestGuard


@dataclass(frozen=True)
class ApiDefinition:
    """An API: the folder serving/<name>/, and its page in serving/page/static/<name>/."""

    name: str
    backend: Callable[[Served, Any], Backend]
    """Its class, called with what is served and the parameters of its lab. Raises UserError."""
    routes: Sequence[BaseRoute]
    """They find the backend in `app.state.backend`."""
    compared: Mapping[str, str] = field(default_factory=dict)
    """Routes at which a candidate can be compared, and what the distance of two answers is. None where answers are
    drawn at random."""


def definition(api: str) -> ApiDefinition:
    """The API of that name."""
    found: ApiDefinition = import_module(f"serving.{api}.service").API
    return found


def load_backend(
    api: ApiDefinition,
    reference: str = "",
    allow_unpromoted: bool = False,
    params: Path | None = None,
    shadow: str = "",
) -> Backend:
    """reference: a bundle, by default the champion of the API's first lab. params: by default the project's.

    shadow: a bundle that sees some of the requests and answers none, so it need not be promoted. Raises UserError.
    """
    if shadow and not api.compared:
        raise UserError(f"a shadow of {api.name}: only faces and digits compare two models' answers")
    labs = labs_of(api.name)
    with open_bundle(reference or champion(labs[0]), labs, allow_unpromoted) as served:
        backend = backend_of(api, served, params)
    if shadow:
        with open_bundle(shadow, labs, allow_unpromoted=True, answers=False) as seen:
            backend.compare_with(backend_of(api, seen, params), api.compared)
    return backend


def backend_of(api: ApiDefinition, served: Served, params: Path | None = None) -> Backend:
    """As `load_backend`, of a bundle that is open."""
    limits = load(find(served.lab), params or project_root() / "params.yaml")
    try:
        return api.backend(served, limits)
    except UserError:
        raise
    except Exception as error:
        if not served.unpromoted:
            raise
        said = shown(" ".join(str(error).split()))  # whoever wrote the bundle can have it say and do anything
        raise UserError(
            f"{served.bundle.folder} is not promoted, and its model does not run: {type(error).__name__}: {said}"
        ) from error


def champion(lab: str) -> str:
    return f"{REGISTRY}{lab}@champion"


def make_service(api: ApiDefinition, backend: Backend | None = None) -> bentoml.Service[Any]:
    """backend: what it works with. By default it is loaded when the service starts, as the environment says: so for
    `bentoml serve`, which comes straight to the service."""
    app = application(api.name, api.routes)
    if backend:
        app.state.backend = backend

    class Service:
        def __init__(self) -> None:
            if not backend:
                given = settings()
                app.state.backend = load_backend(
                    api, given.serve_bundle, given.serve_allow_unpromoted, shadow=given.serve_shadow
                )
            self.backend: Backend = app.state.backend

        @bentoml.on_startup  # type: ignore[untyped-decorator]
        async def start(self) -> None:
            self.backend.start()

        async def __is_alive__(self) -> bool:
            return self.backend.alive

        async def __is_ready__(self) -> bool:
            return self.backend.ready

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        async def stop(self) -> None:
            self.backend.stop()

    made: bentoml.Service[Any] = bentoml.service(
        name=api.name,
        metrics={"enabled": False},  # they take any path that is asked for as a label
        logging={"access": {"enabled": False}},  # it repeats RequestGuard's
    )(bentoml.asgi_app(app, path="/")(Service))
    made.add_asgi_middleware(RequestGuard, rules=lambda: app.state.backend.rules)
    return made

"""The routes of the music API; `app.state.house` is what they work with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import TypeVar, cast

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from components.errors import UserError
from serving.core.application import answer, as_refusal, query_of, refused
from serving.core.request_guard import BrokenError, RefusalError
from serving.music import audio, schemas
from serving.music.backend import TuneHouse

PLAYERS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "midi": ("audio/midi", audio.to_midi),
    "wav": ("audio/wav", audio.to_wav),
}
RequestT = TypeVar("RequestT", bound=schemas.Request)


async def generate(request: Request) -> Response:
    house = _house(request)
    wish = await _read_json(request, schemas.GenerateRequest)
    seed = house.maker.seed(wish)
    house.maker.plan(wish, seed)  # what the model cannot write is refused before it takes a place
    with house.batcher.hold(wish.count):
        async with asyncio.timeout(house.limits.request_seconds):
            tunes = await asyncio.gather(*(house.maker.make(wish, seed, index) for index in range(wish.count)))
    made = [tune for tune in tunes if tune]
    if len(made) < wish.count:
        raise RefusalError(
            422,
            f"no valid tune in {house.limits.attempts} samples of seed {seed}: try another seed, a lower temperature, "
            "a larger max_length or fewer constraints; valid_only=false returns what comes",
        )
    return answer(schemas.GenerateAnswer(tunes=made, seed=seed, model=house.origin))


async def stream(request: Request) -> Response | EventStream:
    house = _house(request)
    wish = await _read_json(request, schemas.StreamRequest)
    events = _events(house, wish)
    # Nothing is sent before the first characters, so a refusal until then is a status and not an event.
    return EventStream(await anext(events), events)


async def _events(house: TuneHouse, wish: schemas.StreamRequest) -> AsyncGenerator[bytes]:
    seed = house.maker.seed(wish)
    loop = asyncio.get_running_loop()
    started, sent = loop.time(), False
    deadline = started + house.limits.request_seconds
    with house.batcher.hold(1):
        async with aclosing(house.maker.stream(wish, seed)) as parts:
            while True:
                try:
                    if loop.time() > deadline:  # a timeout does not fire where nothing has to be waited for
                        raise TimeoutError
                    async with asyncio.timeout_at(deadline):
                        part = await anext(parts)
                except StopAsyncIteration:
                    return
                except (BrokenError, TimeoutError) as error:
                    if not sent:
                        raise
                    yield _event(
                        "error", json.dumps({"detail": as_refusal(error, house.limits.retry_after_seconds).detail})
                    )
                    return
                if not sent:
                    house.metrics.first_character.observe(loop.time() - started)
                    sent = True
                if isinstance(part, str):
                    yield _event("text", json.dumps({"text": part}))
                else:
                    yield _event("done", schemas.DoneEvent(tune=part, model=house.origin).model_dump_json())


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


class EventStream:
    """Server-sent events. Its source is closed as soon as nobody listens any more."""

    HEADERS = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": 200, "headers": [*self.HEADERS]})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for event in self._rest:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body"})


async def play(request: Request, kind: str) -> Response:
    house = _house(request)
    if request.method == "POST":
        wish = await _read_json(request, schemas.AbcRequest)
    else:
        wish = _check(house, schemas.AbcRequest, json.dumps(query_of(request)).encode())
    media_type, render = PLAYERS[kind]
    limits = house.limits
    try:
        async with asyncio.timeout(limits.audio_seconds):
            sound = await house.player.run(render, wish.abc, max_seconds=limits.max_seconds, max_chord=limits.max_chord)
            return Response(sound, media_type=media_type)
    except UserError as error:
        raise RefusalError(422, f"abc: {error}", [("abc", str(error))]) from None


def _house(request: Request) -> TuneHouse:
    house: TuneHouse = request.app.state.house
    return house


async def _read_json(request: Request, model: type[RequestT]) -> RequestT:
    """The request's body, checked. Raises RefusalError (415, 400, 422)."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise RefusalError(415, "the body must be JSON, with content-type: application/json")
    return _check(_house(request), model, await request.body())


def _check(house: TuneHouse, model: type[RequestT], body: bytes) -> RequestT:
    """Against the model with this server's limits. Raises RefusalError that names the first wrong fields."""
    try:
        return cast(RequestT, house.requests[model.__name__].model_validate_json(body))
    except ValidationError as error:
        raise refused(error) from None


ROUTES = [
    Route("/generate", generate, methods=["POST"]),
    Route("/stream", stream, methods=["POST"]),
    *(Route(f"/tunes/{kind}", partial(play, kind=kind), methods=["GET", "POST"]) for kind in PLAYERS),
]

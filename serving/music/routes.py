"""The routes of the music API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import TypeVar, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.errors import UserError
from components.labs.music.features import features
from serving.core import drift_route
from serving.core.application import answer
from serving.core.events import EventStream, event
from serving.core.parsing import json_body, query
from serving.core.problems import BrokenError, RefusalError, as_refusal, wrong_fields
from serving.core.uploads import FileKind, one_file
from serving.music import audio, schemas
from serving.music.backend import MusicBackend
from serving.music.midi_import import transcribe
from serving.music.transcription import UNIT

PLAYERS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "midi": ("audio/midi", audio.to_midi),
    "wav": ("audio/wav", audio.to_wav),
}
MIDI = FileKind("MIDI file", "tune.mid")
RequestT = TypeVar("RequestT", bound=schemas.Request)


async def generate(request: Request) -> Response:
    backend = _backend(request)
    asked = await json_body(request, _limited(request, schemas.GenerateRequest))
    seed = backend.generator.seed(asked)
    backend.generator.refuse_impossible(asked)  # before it takes a place
    backend.count(_counted(asked))
    with backend.batcher.hold(asked.count):
        async with asyncio.timeout(backend.limits.request_seconds):
            tunes = await asyncio.gather(*(backend.generator.write(asked, seed, index) for index in range(asked.count)))
    for tune in tunes:
        if asked.valid_only and not tune.valid:
            raise RefusalError(
                422,
                f"no valid tune of seed {tune.seed} after {tune.redrawn} redraws ({tune.problems[0]}): try a larger "
                "max_length, another seed or fewer constraints; valid_only=false returns what comes",
            )
    return answer(schemas.GenerateAnswer(tunes=tunes, seed=seed, model=backend.origin))


async def stream(request: Request) -> Response | EventStream:
    backend = _backend(request)
    asked = await json_body(request, _limited(request, schemas.StreamRequest))
    events = _events(backend, asked)
    # Nothing is sent before the first characters, so a refusal until then is a status and not an event.
    return EventStream(await anext(events), events)


async def _events(backend: MusicBackend, asked: schemas.StreamRequest) -> AsyncGenerator[bytes]:
    backend.generator.refuse_impossible(asked)
    backend.count(_counted(asked))
    seed = backend.generator.seed(asked)
    loop = asyncio.get_running_loop()
    started, sent = loop.time(), False
    deadline = started + backend.limits.request_seconds
    with backend.batcher.hold(1):
        async with aclosing(backend.generator.stream(asked, seed)) as parts:
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
                    yield event(
                        "error", json.dumps({"detail": as_refusal(error, backend.limits.retry_after_seconds).detail})
                    )
                    return
                if not sent:
                    backend.metrics.first_character.observe(loop.time() - started)
                    sent = True
                if isinstance(part, str):
                    yield event("text", json.dumps({"text": part}))
                else:
                    yield event("done", schemas.DoneEvent(tune=part, model=backend.origin).model_dump_json())


async def play(request: Request, kind: str) -> Response:
    backend, model = _backend(request), _limited(request, schemas.AbcRequest)
    asked = await json_body(request, model) if request.method == "POST" else query(request, model)
    media_type, render = PLAYERS[kind]
    limits = backend.limits
    try:
        async with asyncio.timeout(limits.audio_seconds):
            sound = await backend.player.run(
                render, asked.abc, max_seconds=limits.max_seconds, max_chord=limits.max_chord
            )
            return Response(sound, media_type=media_type)
    except UserError as error:
        raise wrong_fields([("abc", str(error))]) from None


async def from_midi(request: Request) -> Response:
    backend = _backend(request)
    asked = query(request, _limited(request, schemas.MidiQuery))
    content = await one_file(request, MIDI)
    limits = backend.limits
    async with asyncio.timeout(limits.audio_seconds):
        found = await backend.player.run(
            transcribe, content, asked.key or "", asked.metre or "", backend.metres, limits.max_seconds
        )
    start = found.music
    if len(start) > limits.max_start:
        raise RefusalError(
            422,
            f"the melody takes {len(start):,} characters, and a start may have {limits.max_start:,} at most: cut the "
            "file to the part to go on from",
        )
    model = _limited(request, schemas.StreamRequest)
    backend.generator.refuse_impossible(model(key=found.key, metre=found.metre, start=start))
    return answer(
        schemas.MidiAnswer(
            abc=found.tune,
            start=start,
            key=found.key,
            metre=found.metre,
            unit=UNIT,
            notes=found.notes,
            deviation=round(found.deviation, 4),
            assumed=found.assumed,
            model=backend.origin,
        )
    )


def _counted(asked: schemas.StreamRequest) -> dict[str, float | str]:
    return features(asked.start or "", asked.key or "", asked.temperature)


def _backend(request: Request) -> MusicBackend:
    backend: MusicBackend = request.app.state.backend
    return backend


def _limited(request: Request, model: type[RequestT]) -> type[RequestT]:
    """The type with this server's limits."""
    return cast(type[RequestT], _backend(request).requests[model.__name__])


ROUTES = [
    Route("/generate", generate, methods=["POST"]),
    Route("/stream", stream, methods=["POST"]),
    Route("/tunes/from-midi", from_midi, methods=["POST"]),
    *(Route(f"/tunes/{kind}", partial(play, kind=kind), methods=["GET", "POST"]) for kind in PLAYERS),
    drift_route.ROUTE,
]

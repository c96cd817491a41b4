"""The routes of the agents API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.agents.backend import AgentsBackend
from serving.agents.schemas import DoneEvent, EpisodeQuery
from serving.core.application import answer
from serving.core.events import EventStream, event
from serving.core.parsing import json_body, query
from serving.core.problems import as_refusal


async def act(request: Request) -> Response:
    backend = _backend(request)
    asked = await json_body(request, backend.act_request)
    async with asyncio.timeout(backend.limits.request_seconds):
        return answer(await backend.episodes.run(backend.act, asked))


async def play(request: Request) -> Response:
    backend = _backend(request)
    asked = await json_body(request, backend.play_request)
    async with asyncio.timeout(backend.limits.request_seconds):
        return answer(await backend.episodes.run(backend.play, asked))


async def episode(request: Request) -> EventStream:
    backend = _backend(request)
    events = _events(backend, query(request, backend.episode_query))
    # Nothing is sent before the first step, so a refusal until then is a status and not an event.
    return EventStream(await anext(events), events)


async def _events(backend: AgentsBackend, asked: EpisodeQuery) -> AsyncGenerator[bytes]:
    deadline = asyncio.get_running_loop().time() + backend.limits.request_seconds
    steps, total, ended = 0, 0.0, False
    with backend.episodes.hold():
        async with aclosing(backend.episodes.steps(backend.player, asked)) as blocks:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        block = await anext(blocks)
                except StopAsyncIteration:
                    break
                except TimeoutError as error:
                    if not steps:
                        raise
                    refusal = as_refusal(error, backend.limits.retry_after_seconds)
                    yield event("error", json.dumps({"detail": refusal.detail}))
                    return
                steps, total, ended = steps + len(block), block[-1].total, block[-1].ended
                yield b"".join(_said("step", step) for step in block)
    yield _said("done", DoneEvent(seed=asked.seed, steps=steps, total=total, ended=ended, model=backend.origin))


def _said(name: str, model: BaseModel) -> bytes:
    return event(name, model.model_dump_json())


def _backend(request: Request) -> AgentsBackend:
    backend: AgentsBackend = request.app.state.backend
    return backend


ROUTES = [Route("/act", act, methods=["POST"]), Route("/play", play, methods=["POST"]), Route("/episode", episode)]

"""The routes of the chat API."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.labs.chat.params import Sampling
from components.labs.chat.runtime.sampler import AnswerRequest
from serving.chat import schemas
from serving.chat.backend import ChatBackend
from serving.chat.batching import ServedAnswer
from serving.core.application import answer
from serving.core.events import EventStream, event
from serving.core.parsing import json_body
from serving.core.problems import BrokenError, as_refusal


async def chat(request: Request) -> EventStream:
    backend = _backend(request)
    asked = cast(schemas.ChatRequest, await json_body(request, backend.requests["ChatRequest"]))
    sampling = Sampling(**asked.model_dump(include=set(Sampling.model_fields)))
    wanted = backend.request(asked.messages, asked.style, sampling, asked.seed)
    events = _chat_events(backend, wanted, asked.style)
    # Nothing is sent before the first characters, so a refusal until then is a status and not an event.
    return EventStream(await anext(events), events)


async def _chat_events(backend: ChatBackend, wanted: AnswerRequest, style: str) -> AsyncGenerator[bytes]:
    with backend.batcher.answer(wanted) as written:
        async with aclosing(_pieces(backend, written)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield event("text", json.dumps({"text": piece}))
                else:
                    yield event("error", json.dumps({"detail": _detail(backend, piece)}))
                    return
        done = schemas.DoneEvent(
            text=written.text,
            style=style,
            finish_reason=written.finished or "length",
            prompt_tokens=len(wanted.prompt.tokens),
            completion_tokens=len(written.tokens),
            seed=wanted.seed,
            model=backend.origin,
        )
        yield event("done", done.model_dump_json())


async def completions(request: Request) -> Response | EventStream:
    backend = _backend(request)
    asked = cast(schemas.CompletionRequest, await json_body(request, backend.requests["CompletionRequest"]))
    given = backend.limits.sampling
    most = asked.max_completion_tokens or asked.max_tokens or given.max_tokens
    update = {"temperature": asked.temperature, "top_p": asked.top_p, "max_tokens": most}
    wanted = backend.request(asked.messages, asked.model, given.model_copy(update=update), asked.seed)
    if asked.stream:
        counted = asked.stream_options is not None and asked.stream_options.include_usage
        events = _completion_events(backend, wanted, asked.model, counted)
        return EventStream(await anext(events), events)
    with backend.batcher.answer(wanted) as written:
        async with aclosing(_pieces(backend, written)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Exception):
                    raise piece
        return answer(
            schemas.Completion(
                id=_identity(),
                created=int(time.time()),
                model=asked.model,
                choices=[
                    schemas.Choice(
                        message=schemas.CompletionMessage(content=written.text),
                        finish_reason=written.finished or "length",
                    )
                ],
                usage=_usage(wanted, written),
            )
        )


async def _completion_events(
    backend: ChatBackend, wanted: AnswerRequest, style: str, counted: bool
) -> AsyncGenerator[bytes]:
    """counted: whether a last chunk counts the tokens."""
    head = {"id": _identity(), "object": "chat.completion.chunk", "created": int(time.time()), "model": style}

    def data(content: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(content)}\n\n".encode()

    def chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
        return data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    with backend.batcher.answer(wanted) as written:
        first = True
        async with aclosing(_pieces(backend, written)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Exception):
                    error = {"message": _detail(backend, piece), "type": "server_error"}
                    yield data({"error": error})
                    return
                yield chunk({"role": "assistant", "content": piece} if first else {"content": piece})
                first = False
        yield chunk({}, written.finished or "length")
        if counted:
            yield data({**head, "choices": [], "usage": _usage(wanted, written).model_dump()})
        yield b"data: [DONE]\n\n"


async def _pieces(backend: ChatBackend, written: ServedAnswer) -> AsyncGenerator[str | Exception]:
    """The answer's text as it is written; what broke it off is raised before the first piece, and given after it."""
    loop = asyncio.get_running_loop()
    started, sent = loop.time(), False
    deadline = started + backend.limits.request_seconds
    async with aclosing(cast(AsyncGenerator[str], written.delivery.pieces())) as pieces:
        while True:
            try:
                if loop.time() > deadline:  # a timeout does not fire where nothing has to be waited for
                    raise TimeoutError
                async with asyncio.timeout_at(deadline):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except (BrokenError, TimeoutError) as error:
                if not sent:
                    raise
                yield error
                return
            if not sent:
                backend.metrics.first_text.observe(loop.time() - started)
                sent = True
            yield piece


def _usage(wanted: AnswerRequest, written: ServedAnswer) -> schemas.Usage:
    read, wrote = len(wanted.prompt.tokens), len(written.tokens)
    return schemas.Usage(prompt_tokens=read, completion_tokens=wrote, total_tokens=read + wrote)


def _detail(backend: ChatBackend, error: Exception) -> str:
    return as_refusal(error, backend.limits.retry_after_seconds).detail


def _identity() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _backend(request: Request) -> ChatBackend:
    backend: ChatBackend = request.app.state.backend
    return backend


ROUTES = [
    Route("/chat", chat, methods=["POST"]),
    Route("/v1/chat/completions", completions, methods=["POST"]),
]

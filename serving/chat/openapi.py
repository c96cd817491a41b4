"""The chat API's description."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from serving.chat.schemas import Completion, DoneEvent, TextEvent
from serving.core import openapi
from serving.core.openapi import Json, json_of, operation, reference, work_problems

PROBLEMS = work_problems(
    {
        400: "the body is not JSON",
        415: "the body is not application/json",
        422: "a field is wrong, or the messages are too long: `errors` names it",
    }
)
EVENTS = 'event: text\ndata: {"text": "Hmm."}\n\nevent: done\ndata: {"text": "Hmm.", "finish_reason": "stop"}\n\n'
CHUNKS = 'data: {"choices": [{"index": 0, "delta": {"content": "Hmm."}, "finish_reason": null}]}\n\ndata: [DONE]\n\n'
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


def document(requests: Mapping[str, type[BaseModel]], version: str) -> Json:
    """version: of the model that is served."""
    about = {
        "title": "Chat",
        "version": version,
        "description": "A small language model that was tuned to answer as Yoda or as a leprechaun. It invents facts.",
    }
    paths = {
        "/chat": {
            "post": operation(
                "chat",
                "Answer, and send the text as it is written: `text` events (TextEvent), then one `done` (DoneEvent), "
                "or one `error` (Problem)",
                {"text/event-stream": {"example": EVENTS}},
                body=_json("ChatRequest", {"messages": MESSAGES, "style": "yoda"}),
                problems=PROBLEMS,
            )
        },
        "/v1/chat/completions": {
            "post": operation(
                "completions",
                "Answer as OpenAI's API does; with `stream` as chunks. `model` is the style",
                {**json_of("Completion"), "text/event-stream": {"example": CHUNKS}},
                body=_json("CompletionRequest", {"model": "yoda", "messages": MESSAGES}),
                problems=PROBLEMS,
            )
        },
    }
    return openapi.document(about, paths, [*requests.values(), Completion, TextEvent, DoneEvent])


def _json(schema: str, example: Json) -> Json:
    return {"application/json": {"schema": reference(schema), "example": example}}

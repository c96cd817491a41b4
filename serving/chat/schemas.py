"""What the chat API takes and gives, as types."""

from __future__ import annotations

import unicodedata
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from components.labs.chat.params import Serve
from components.labs.chat.runtime.sampler import SEEDS
from serving.core.schemas import Origin

Style = Literal["yoda", "leprechaun", "plain"]
ALLOWED = {"\n", "\r", "\t"}
"""Control characters that a message may hold."""


class Strict(BaseModel):
    """No unknown fields, and nothing is converted, so that a mistake is an error and not another answer."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ChatMessage(Strict):
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, description="text; marks of the model's template in it are text too")

    @field_validator("content")
    @classmethod
    def _is_text(cls, content: str, asked: ValidationInfo) -> str:
        if not content.strip():
            raise PydanticCustomError("blank", "it says nothing")
        if asked.data.get("role") == "assistant":
            return content  # what a model wrote is sent back as it was
        if any(unicodedata.category(each) == "Cc" and each not in ALLOWED for each in content):
            raise PydanticCustomError("control", "it holds control characters other than line breaks and tabs")
        return content


class _Asked(Strict):
    messages: list[ChatMessage] = Field(min_length=1, description="the conversation so far; the last one is a user's")
    temperature: float = Field(
        0.0, ge=0, le=5, allow_inf_nan=False, description="0 takes the likeliest token; above 1 is bolder"
    )
    top_p: float = Field(
        1.0, gt=0, le=1, allow_inf_nan=False, description="choose among the likeliest tokens that hold this share"
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=SEEDS,
        description="of the random numbers; with it the answer is the same again, whatever else is written; "
        "drawn when left out",
    )

    @field_validator("messages")
    @classmethod
    def _in_order(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if messages[-1].role != "user":
            raise PydanticCustomError("last", "the last message must be a user's")
        if any(message.role == "system" for message in messages[1:]):
            raise PydanticCustomError("system", "only the first message may be a system message")
        return messages


class ChatRequest(_Asked):
    style: Style = Field("yoda", description="base: the model before it was tuned")
    top_k: int = Field(0, ge=0, le=1 << 20, description="choose among so many likeliest tokens; 0: among all")
    repetition_penalty: float = Field(
        1.2, ge=1, le=5, allow_inf_nan=False, description="lowers the logits of tokens that the answer holds already"
    )
    max_tokens: int = Field(200, ge=1, description="tokens of the answer, at most")


class StreamOptions(Strict):
    include_usage: bool = Field(False, description="a last chunk without choices counts the tokens")


class CompletionRequest(_Asked):
    """As OpenAI's API takes it, as far as it is known here."""

    model: Style = Field(description="the style")
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    user: str | None = None


class TextEvent(BaseModel):
    """An event of /chat: characters that were just written."""

    text: str


class DoneEvent(BaseModel):
    """The last event of /chat."""

    text: str = Field(description="the whole answer")
    style: str
    finish_reason: Literal["stop", "length"] = Field(description="length: it was cut off")
    prompt_tokens: int
    completion_tokens: int
    seed: int = Field(description="given, or drawn by the server: then the answer may come out otherwise again")
    model: Origin


class CompletionMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    index: int = 0
    message: CompletionMessage
    finish_reason: Literal["stop", "length"]


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """As OpenAI's API gives it."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


def requests(limits: Serve) -> dict[str, type[_Asked]]:
    """The requests, by name, with this server's limits and defaults: checked and documented alike."""
    most = limits.sampling.max_tokens
    given = limits.sampling.model_dump(exclude={"max_tokens"})
    chat: dict[str, Any] = {name: (ChatRequest.model_fields[name].annotation, value) for name, value in given.items()}
    bounded = {
        **{name: (kind, _with_default(ChatRequest, name, value)) for name, (kind, value) in chat.items()},
        "max_tokens": (int, Field(most, ge=1, le=most, description="tokens of the answer, at most")),
    }
    short: dict[str, Any] = {"messages": (list[ChatMessage], _at_most(limits.max_messages))}
    tokens: dict[str, Any] = {
        name: (int | None, Field(None, ge=1, le=most)) for name in ("max_tokens", "max_completion_tokens")
    }
    return {
        "ChatRequest": _made(ChatRequest, {**bounded, **short}),
        "CompletionRequest": _made(CompletionRequest, {**tokens, **short}),
    }


def _made(model: type[_Asked], fields: dict[str, Any]) -> type[_Asked]:
    return cast(type[_Asked], create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields))


def _with_default(model: type[BaseModel], name: str, value: object) -> Any:
    from copy import copy

    info = copy(model.model_fields[name])
    info.default = value
    return info


def _at_most(messages: int) -> Any:
    from copy import copy

    from annotated_types import MaxLen

    info = copy(ChatRequest.model_fields["messages"])
    info.metadata = [*info.metadata, MaxLen(messages)]
    return info

"""What the chat API works with, built from a bundle before the first request."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
from prometheus_client import Gauge, Histogram

from components.datasets.styles.template_reader import Message
from components.errors import UserError
from components.labs.chat.params import Params, Sampling, Serve
from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import SEEDS, AnswerRequest, ask
from components.promoted import Served
from serving.chat import openapi, schemas
from serving.chat.batching import AnswerBatcher
from serving.core.backend import Backend
from serving.core.metrics import SECONDS, Metrics
from serving.core.problems import wrong_fields
from serving.core.schemas import Info


class ChatMetrics(Metrics):
    def __init__(self, batcher: AnswerBatcher) -> None:
        super().__init__()
        self.first_text = Histogram(
            "chat_first_text_seconds", "Time to an answer's first characters", registry=self.registry, buckets=SECONDS
        )
        for name, text, value in (
            ("chat_answers_active", "Answers written together now", lambda: len(batcher.batch)),
            ("chat_places_taken", "Answers being written or waiting", lambda: batcher.taken),
            ("chat_places", "Answers that may be written or wait", lambda: batcher.places),
            ("chat_tokens_written", "Tokens since the start", lambda: batcher.batch.written),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)


class ChatBackend(Backend):
    metrics: ChatMetrics
    limits: Serve

    def __init__(self, served: Served, params: Params) -> None:
        """Loads the model and warms it up; starts no thread yet."""
        limits = params.serve
        self.model = ChatModel.load(served.bundle, limits.slots, served.variant)
        warm_up(self.model)
        self.batcher = AnswerBatcher(self.model, limits.waiting, limits.prefill_tokens)
        self.requests = schemas.requests(limits)
        info = Info.of(served, limits, self.model.providers)
        document = openapi.document(self.requests, served.version)
        super().__init__(served, limits, self.batcher, info, document, ChatMetrics(self.batcher))

    def request(
        self, messages: Sequence[schemas.ChatMessage], style: str, sampling: Sampling, seed: int | None
    ) -> AnswerRequest:
        """An answer without a seed gets one, and need not come out the same again.

        Raises RefusalError that names the messages where they are too long.
        """
        drawn = secrets.randbelow(SEEDS) if seed is None else seed
        count = sum(len(message.content) for message in messages)
        if count > self.limits.max_characters:
            raise wrong_fields([("messages", f"they are {count} characters; {self.limits.max_characters} are read")])
        try:
            texts = [Message(message.role, message.content) for message in messages]
            return ask(self.model, texts, style, sampling, drawn, repeatable=seed is not None)
        except UserError as error:
            raise wrong_fields([("messages", str(error))]) from None


def warm_up(model: ChatModel) -> None:
    """Runs what requests will run, so that the first one finds memory allocated and code loaded."""
    model.read(0, [model.template.start], 0, style=None)
    for rows in (1, model.slots):
        ids, positions = np.full(rows, model.template.start), np.ones(rows, np.int32)
        model.step(ids, positions, [None] * rows)

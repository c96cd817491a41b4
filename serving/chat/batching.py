"""Answers that are written together: `serving.core.batching`, with the chat's own sampler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import Answer, AnswerRequest, Batch
from serving.core.batching import Batcher, Delivery


class ServedAnswer(Answer):
    """An answer that somebody waits for in the event loop."""

    def __init__(self, request: AnswerRequest, model: ChatModel) -> None:
        super().__init__(request, model)
        self.delivery = Delivery(streamed=True)


class AnswerBatcher(Batcher[ServedAnswer]):
    """waiting: answers that may wait for a slot, in order; stretch: of Batch."""

    batch: Batch[ServedAnswer]

    def __init__(self, model: ChatModel, waiting: int, stretch: int) -> None:
        super().__init__(Batch(model, stretch), model.slots, waiting)
        self.model = model

    @contextmanager
    def answer(self, request: AnswerRequest) -> Iterator[ServedAnswer]:
        """An answer that is being written; leaving the block before its end frees its slot.

        Raises DrainingError, BrokenError or FullError.
        """
        with self.hold(1), self.write(ServedAnswer(request, self.model)) as written:
            yield written

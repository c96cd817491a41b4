"""Continuous batching: one thread writes every answer, and answers join and leave between two steps.

A step reads a stretch of one prompt and writes a token of every answer whose prompt is read. The event loop submits
answers and is handed their text; while an answer is written all else of it belongs to the thread.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress

from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import Answer, AnswerRequest, Batch
from serving.core.problems import BrokenError, DrainingError, FullError

log = logging.getLogger(__name__)


class ServedAnswer(Answer):
    """An answer that somebody waits for in the event loop."""

    def __init__(self, request: AnswerRequest, model: ChatModel) -> None:
        super().__init__(request, model)
        self.left = False
        """Set by the event loop when nobody waits any more; the thread then writes it no further."""
        self._news: asyncio.Queue[tuple[str, bool, Exception | None]] = asyncio.Queue()

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it is written, up to the end. Raises BrokenError."""
        while True:
            text, complete, failure = await self._news.get()
            if text:
                yield text
            if failure:
                raise failure
            if complete:
                return

    def deliver(self, piece: str, complete: bool, failure: Exception | None = None) -> None:
        """Called in the event loop."""
        self._news.put_nowait((piece, complete, failure))


class Batcher:
    """The thread, and the places in front of it. waiting: answers that may wait for a slot, in order."""

    def __init__(self, model: ChatModel, waiting: int, stretch: int) -> None:
        self.model = model
        self.places = model.slots + waiting
        self.taken = 0
        self.draining = False
        self.failed = False
        self._batch: Batch[ServedAnswer] = Batch(model, stretch)
        self._submitted: queue.SimpleQueue[ServedAnswer | None] = queue.SimpleQueue()
        self._waiting: deque[ServedAnswer] = deque()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def active(self) -> int:
        """Answers that are written now."""
        return len(self._batch)

    @property
    def tokens(self) -> int:
        """Tokens written since the start."""
        return self._batch.written

    def start(self) -> None:
        """Starts the thread; called in the event loop that answers are delivered to."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the step that it is in."""
        self.draining = True
        self._submitted.put(None)
        self._thread.join()

    @contextmanager
    def write(self, request: AnswerRequest) -> Iterator[ServedAnswer]:
        """An answer that is being written; leaving the block before its end frees its slot.

        Raises DrainingError, BrokenError or FullError.
        """
        if self.failed:
            raise BrokenError
        if self.draining:
            raise DrainingError
        if self.taken >= self.places:
            raise FullError
        self.taken += 1
        answer = ServedAnswer(request, self.model)
        try:
            self._submitted.put(answer)
            if self.failed:  # looked at after it was submitted: before, the thread could still fail in between
                raise BrokenError
            yield answer
        finally:
            answer.left = True
            self.taken -= 1

    def _run(self) -> None:
        try:
            while self._take_in():
                if len(self._batch):
                    self._hand_over(self._batch.step())
        except Exception as error:  # whatever it was, somebody waits for each of these answers
            log.exception("the writer thread failed")
            self.failed = True
            self._fail(error)

    def _take_in(self) -> bool:
        """Takes what was submitted into free slots; sleeps while there is nothing to do. False: time to stop."""
        while True:
            idle = not (self._waiting or len(self._batch))
            try:
                answer = self._submitted.get(block=idle)
            except queue.Empty:
                break
            if answer is None:
                return False
            self._waiting.append(answer)
        self._batch.leave([answer for answer in self._batch.answers if answer.left])
        while self._waiting and len(self._batch) < self.model.slots:
            answer = self._waiting.popleft()
            if not answer.left:
                self._batch.join(answer)
        return True

    def _hand_over(self, answers: Iterable[ServedAnswer]) -> None:
        news = [(answer, answer.new_text(), answer.finished is not None) for answer in answers]
        # One wake-up of the event loop a step, not one an answer.
        if news:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(_deliver, news)

    def _fail(self, error: Exception) -> None:
        while not self._submitted.empty():
            answer = self._submitted.get()
            if answer is not None:
                self._waiting.append(answer)
        for answer in (*self._waiting, *self._batch.answers):
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(answer.deliver, "", True, BrokenError(str(error)))


def _deliver(news: list[tuple[ServedAnswer, str, bool]]) -> None:
    for answer, piece, complete in news:
        if piece or complete:
            answer.deliver(piece, complete)

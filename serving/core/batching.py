"""Continuous batching: one thread writes every text, and texts join and leave between two steps.

The event loop submits texts and is handed what is written; while a text is written all else of it belongs to the
thread. What a step is, and how texts are written together, is the batch's own (a lab's `runtime/sampler.py`).
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Generic, Protocol, TypeVar

from serving.core.problems import BrokenError, DrainingError, FullError

log = logging.getLogger(__name__)


class Delivery:
    """How what the thread writes reaches whoever waits for it in the event loop."""

    def __init__(self, streamed: bool) -> None:
        """streamed: text is handed over as it is written."""
        self.streamed = streamed
        self.left = False
        """Set by the event loop when nobody waits any more; the thread then writes no further."""
        self._arrived = asyncio.Event()
        self._complete = asyncio.Event()
        self._pieces: list[str] = []
        self._failure: Exception | None = None

    async def complete(self) -> None:
        """Waits until all is written. Raises BrokenError."""
        await self._complete.wait()
        if self._failure:
            raise self._failure

    async def pieces(self, pause: float = 0) -> AsyncIterator[str]:
        """The text as it is written: what has arrived since the last piece, up to the end. Raises BrokenError.

        pause: seconds from one piece to the next, unless all is written before.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            text, self._pieces = "".join(self._pieces), []
            complete = self._complete.is_set()
            if text:
                yield text
            if self._failure:
                raise self._failure
            if complete:
                return
            if pause:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._complete.wait()

    def deliver(self, piece: str, complete: bool, failure: Exception | None = None) -> None:
        """Called in the event loop."""
        self._pieces.append(piece)
        self._failure = failure
        if complete:
            self._complete.set()
        self._arrived.set()


class Text(Protocol):
    """A text that is written, and whoever waits for it."""

    delivery: Delivery

    @property
    def finished(self) -> object:
        """Whether it is; anything that counts as true."""

    def new_text(self) -> str:
        """What was written since this was last asked for."""


TextT = TypeVar("TextT", bound=Text)


class Batch(Protocol[TextT]):
    """Texts that are written together."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[TextT]: ...

    def join(self, text: TextT, /) -> None: ...

    def leave(self, texts: Sequence[TextT], /) -> None: ...

    def step(self) -> list[TextT]:
        """Returns the texts that were written. Those that are finished have left the batch."""


class Batcher(Generic[TextT]):
    """The thread, and the places in front of it.

    slots: texts written together; waiting: texts that may wait for one of these slots, first come, first served.
    """

    def __init__(self, batch: Batch[TextT], slots: int, waiting: int) -> None:
        self.batch, self.slots = batch, slots
        self.places = slots + waiting
        self.taken = 0
        self.draining = False
        self.failed = False
        self._submitted: queue.SimpleQueue[TextT | None] = queue.SimpleQueue()
        self._waiting: deque[TextT] = deque()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Starts the thread; called in the event loop that texts are delivered to."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the step that it is in."""
        self.draining = True
        self._submitted.put(None)
        self._thread.join()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Holds a request's places from its first text to its last. Raises DrainingError, BrokenError or FullError."""
        if self.failed:
            raise BrokenError
        if self.draining:
            raise DrainingError
        if self.taken + count > self.places:
            raise FullError
        self.taken += count
        try:
            yield
        finally:
            self.taken -= count

    @contextmanager
    def write(self, text: TextT) -> Iterator[TextT]:
        """A text that is being written; leaving the block before its end frees its slot. Raises BrokenError."""
        self._submitted.put(text)
        if self.failed:  # looked at after it was submitted: before, the thread could still fail in between
            raise BrokenError
        try:
            yield text
        finally:
            text.delivery.left = True

    def _run(self) -> None:
        try:
            while self._take_in():
                if len(self.batch):
                    self._hand_over(self.batch.step())
        except Exception as error:  # whatever it was, somebody waits for each of these texts
            log.exception("the writer thread failed")
            self.failed = True
            self._fail(error)

    def _take_in(self) -> bool:
        """Takes what was submitted into free slots; sleeps while there is nothing to do. False: time to stop."""
        while True:
            idle = not (self._waiting or len(self.batch))
            try:
                text = self._submitted.get(block=idle)
            except queue.Empty:
                break
            if text is None:
                return False
            self._waiting.append(text)
        self.batch.leave([text for text in self.batch if text.delivery.left])
        while self._waiting and len(self.batch) < self.slots:
            text = self._waiting.popleft()
            if not text.delivery.left:
                self.batch.join(text)
                self._hand_over([text])  # some are forced to begin with a text
        return True

    def _hand_over(self, texts: Iterable[TextT]) -> None:
        news = [
            (text.delivery, text.new_text() if text.delivery.streamed else "", bool(text.finished)) for text in texts
        ]
        news = [(delivery, piece, complete) for delivery, piece, complete in news if piece or complete]
        # One wake-up of the event loop a step, not one a text.
        if news:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(_deliver, news)

    def _fail(self, error: Exception) -> None:
        while not self._submitted.empty():
            text = self._submitted.get()
            if text is not None:
                self._waiting.append(text)
        for text in (*self._waiting, *self.batch):
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(text.delivery.deliver, "", True, BrokenError(str(error)))


def _deliver(news: list[tuple[Delivery, str, bool]]) -> None:
    for delivery, piece, complete in news:
        delivery.deliver(piece, complete)

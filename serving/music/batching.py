"""Continuous batching: one thread writes every active tune, and tunes join and leave between two blocks.

A block is one call of the model: `steps_per_call` characters for each tune (`components.labs.music.runtime.sampler`).
The event loop submits tunes and is handed their text; while a tune is written all else of it belongs to the thread.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress

from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.sampler import Batch, Sample, Tune, TuneRequest
from serving.core.problems import BrokenError, DrainingError, FullError

log = logging.getLogger(__name__)


class ServedTune(Tune):
    """A tune that somebody waits for in the event loop."""

    def __init__(self, request: TuneRequest, model: TuneModel, streamed: bool) -> None:
        """streamed: its text is handed over as it is written."""
        super().__init__(request, model)
        self.streamed = streamed
        self.left = False
        """Set by the event loop when nobody waits any more; the thread then writes it no further."""
        self._arrived = asyncio.Event()
        self._complete = asyncio.Event()
        self._pieces: list[str] = []
        self._failure: Exception | None = None

    async def whole(self) -> Sample:
        """The tune, once it is written. Raises BrokenError."""
        await self._complete.wait()
        if self._failure:
            raise self._failure
        return self.sample

    async def pieces(self, pause: float = 0) -> AsyncIterator[str]:
        """The text as it is written: what has arrived since the last piece, up to the end. Raises BrokenError.

        pause: seconds from one piece to the next, unless the tune is finished before.
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


class Batcher:
    """The generator thread, and the places in front of it.

    active: tunes written together; waiting: tunes that may wait for one of these slots, first come, first served;
    read_chars: of Batch.
    """

    def __init__(self, model: TuneModel, active: int, waiting: int, read_chars: int) -> None:
        self.model = model
        self.active = active
        self.places = active + waiting
        self.taken = 0
        self.draining = False
        self.failed = False
        self._batch: Batch[ServedTune] = Batch(model, read_chars)
        self._submitted: queue.SimpleQueue[ServedTune | None] = queue.SimpleQueue()
        self._waiting: deque[ServedTune] = deque()
        self._thread = threading.Thread(target=self._run, name="generator", daemon=True)

    @property
    def playing(self) -> int:
        """Tunes that are written now."""
        return len(self._batch)

    @property
    def characters(self) -> int:
        """Characters sampled since the start, those thrown away included."""
        return self._batch.sampled

    def start(self) -> None:
        """Starts the thread; called in the event loop that tunes are delivered to."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the block it is in."""
        self.draining = True
        self._submitted.put(None)
        self._thread.join()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Holds a request's places from first sample to last. Raises DrainingError, BrokenError or FullError."""
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
    def write(self, request: TuneRequest, *, streamed: bool) -> Iterator[ServedTune]:
        """A tune that is being written; leaving the block before its end frees its slot.

        Raises UserError where forced text holds a character that the model does not know.
        """
        tune = ServedTune(request, self.model, streamed)
        self._submitted.put(tune)
        if self.failed:  # looked at after the tune was submitted: before, the thread could still fail in between
            raise BrokenError
        try:
            yield tune
        finally:
            tune.left = True

    def _run(self) -> None:
        try:
            while self._take_in():
                self._hand_over(self._batch.step())
        except Exception as error:  # whatever it was, somebody waits for each of these tunes
            log.exception("the generator thread failed")
            self.failed = True
            self._fail(error)

    def _take_in(self) -> bool:
        """Takes what was submitted into free slots; sleeps while there is nothing to do. False: time to stop."""
        while True:
            idle = not (self._waiting or len(self._batch))
            try:
                tune = self._submitted.get(block=idle)
            except queue.Empty:
                break
            if tune is None:
                return False
            self._waiting.append(tune)
        self._batch.leave([tune for tune in self._batch.tunes if tune.left])
        while self._waiting and len(self._batch) < self.active:
            tune = self._waiting.popleft()
            if not tune.left:
                self._batch.join(tune)
                self._hand_over([tune] if len(tune.unread) else [])  # the text that it is forced to begin with
        return True

    def _hand_over(self, tunes: Iterable[ServedTune]) -> None:
        news = [
            (tune, tune.new_text() if tune.streamed else "", tune.finished)
            for tune in tunes
            if tune.streamed or tune.finished
        ]
        # One wake-up of the event loop a block, not one a tune.
        if news:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(_deliver, news)

    def _fail(self, error: Exception) -> None:
        while not self._submitted.empty():
            tune = self._submitted.get()
            if tune is not None:
                self._waiting.append(tune)
        for tune in (*self._waiting, *self._batch.tunes):
            failure = BrokenError(str(error))
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(tune.deliver, "", True, failure)


def _deliver(news: list[tuple[ServedTune, str, bool]]) -> None:
    for tune, piece, complete in news:
        tune.deliver(piece, complete)

"""Continuous batching: one thread steps every active tune together, and tunes join and leave between two blocks.

A block is one call of the model: `steps_per_call` characters for each active tune. The event loop submits tunes and
is handed their text; everything else about a tune belongs to the generator thread while it is being made.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.labs.music.runtime.sampler import State
from serving.core.request_guard import BrokenError, DrainingError, FullError

if TYPE_CHECKING:
    from components.labs.music.runtime.sampler import TuneModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What decides a tune: the same plan and bundle give the same tune, whatever is made beside it."""

    seed: int
    temperature: float
    top_k: int
    top_p: float
    max_length: int
    """Characters the model may write; forced ones do not count."""
    forced: Mapping[int, str] = field(default_factory=dict)
    """Text the tune must have at the start of these lines (from 0); the model writes the rest."""
    read_as: Mapping[int, str] = field(default_factory=dict)
    """What the model reads in place of the forced text of these lines, where it knows another spelling better."""


class Outcome(Enum):
    """What a block meant for a tune."""

    GOES_ON = auto()
    REWIND = auto()
    FINISHED = auto()


class Tune:
    """A tune in the making. `whole` and `pieces` are for the event loop, the rest for the generator thread."""

    def __init__(self, plan: Plan, model: TuneModel, streamed: bool) -> None:
        self.plan = plan
        self.streamed = streamed
        self.ended = False
        """The model has ended the tune itself."""
        self.left = False
        """Set by the event loop when nobody listens any more; the thread then frees the slot."""

        # One uniform for each character the model chooses, drawn from the tune's own generator: neither the batch
        # nor where a block begins can change a tune. A block may look past the last one by its own length.
        uniforms = np.random.Generator(np.random.PCG64(plan.seed))
        self._uniforms = uniforms.random(plan.max_length + model.steps_per_call, dtype=np.float32)
        self._vocabulary = model.vocabulary
        self._newline = int(model.vocabulary.encode("\n")[0])
        self._sampled = 0
        self._line = 0
        self._ids: list[npt.NDArray[np.int64]] = []

        self.state: State = model.initial_state(1)
        self.last = self._newline
        self.unread = self._force()

        self._arrived = asyncio.Event()
        self._complete = asyncio.Event()
        self._pieces: list[str] = []
        self._failure: Exception | None = None

    # --- the event loop's side ---

    async def whole(self) -> str:
        """The tune, once it is made. Raises BrokenError."""
        return "".join([piece async for piece in self.pieces()]).strip()

    async def pieces(self, pause: float = 0) -> AsyncIterator[str]:
        """The tune as it is made: what has arrived since the last piece, up to the whole. Raises BrokenError.

        pause: seconds from one piece to the next, unless the tune is finished before.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            text, self._pieces = "".join(self._pieces), []
            finished = self._complete.is_set()
            if text:
                yield text
            if self._failure:
                raise self._failure
            if finished:
                return
            if pause:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._complete.wait()

    def deliver(self, piece: str, finished: bool, failure: Exception | None = None) -> None:
        self._pieces.append(piece)
        if finished:
            self._complete.set()
        self._failure = failure
        self._arrived.set()

    # --- the generator thread's side ---

    def uniforms(self, steps: int) -> npt.NDArray[np.float32]:
        return self._uniforms[self._sampled : self._sampled + steps]

    def take(self, chars: npt.NDArray[np.int64], last: int) -> Outcome:
        """Adds a block of sampled characters, up to the end of the tune or the line that forced text follows.

        last: the character before the block. REWIND: the model's state has run on past the cut, so what is to be
        read from the state before the block, the block's own beginning included, is in `unread`.
        """
        chars = chars[: self.plan.max_length - self._sampled]
        for position in np.flatnonzero(chars == self._newline):
            if (chars[position - 1] if position else last) == self._newline:
                self._append(chars[:position])
                self.ended = True
                return Outcome.FINISHED
            self._line += 1
            if self._line in self.plan.forced:
                chars = chars[: position + 1]
                self._append(chars)
                self.unread = np.concatenate([chars, self._force()])
                return Outcome.REWIND if self._sampled < self.plan.max_length else Outcome.FINISHED
        self._append(chars)
        return Outcome.GOES_ON if self._sampled < self.plan.max_length else Outcome.FINISHED

    def new_text(self) -> str:
        """What was added since the last call."""
        if not self._ids:
            return ""
        text = self._vocabulary.decode(np.concatenate(self._ids))
        self._ids.clear()
        return text

    def _append(self, chars: npt.NDArray[np.int64]) -> None:
        self._sampled += len(chars)
        self._ids.append(chars)

    def _force(self) -> npt.NDArray[np.int64]:
        """Writes the forced text of the line that starts here, and of the lines after it while it fills them.

        Returns what the model reads of it.
        """
        text = read = ""
        while self._line in self.plan.forced and (not text or text.endswith("\n")):
            addition = self.plan.forced[self._line]
            read += self.plan.read_as.get(self._line, addition)
            self._line += addition.count("\n")
            text += addition
        if text:
            self._ids.append(self._vocabulary.encode(text))
        return self._vocabulary.encode(read)


class Batcher:
    """The generator thread, and the places in front of it.

    active: tunes stepped together; waiting: tunes that may wait for one of these slots, first come, first served;
    read_chars: characters of forced text read between two blocks, so that a long start does not stall the others.
    """

    def __init__(self, model: TuneModel, active: int, waiting: int, read_chars: int) -> None:
        self.model = model
        self.active = active
        self.places = active + waiting
        self.taken = 0
        self.draining = False
        self.failed = False
        self.characters = 0
        """Characters sampled since the start, those thrown away included."""
        self._read_chars = read_chars
        self._submitted: queue.SimpleQueue[Tune | None] = queue.SimpleQueue()
        self._waiting: deque[Tune] = deque()
        self._reading: deque[Tune] = deque()
        self._playing: list[Tune] = []
        self._state: State = model.initial_state(0)
        self._thread = threading.Thread(target=self._run, name="generator", daemon=True)

    def start(self) -> None:
        """Starts the thread; called in the event loop that tunes are delivered to."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the block it is in."""
        self.draining = True
        self._submitted.put(None)
        self._thread.join()

    @property
    def playing(self) -> int:
        return len(self._playing) + len(self._reading)

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
    def make(self, plan: Plan, *, streamed: bool) -> Iterator[Tune]:
        """A tune in the making; leaving the block before its end frees its slot."""
        tune = Tune(plan, self.model, streamed)
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
                self._read()
                if self._playing:
                    self._step()
        except Exception as error:  # whatever it was, somebody waits for each of these tunes
            log.exception("the generator thread failed")
            self.failed = True
            self._fail(error)

    def _take_in(self) -> bool:
        """Takes what was submitted into free slots; sleeps while there is nothing to do. False: time to stop."""
        while True:
            idle = not (self._waiting or self._reading or self._playing)
            try:
                tune = self._submitted.get(block=idle)
            except queue.Empty:
                break
            if tune is None:
                return False
            self._waiting.append(tune)
        self._forget_those_who_left()
        while self._waiting and self.playing < self.active:
            tune = self._waiting.popleft()
            self._hand_over([(tune, tune.new_text(), False)] if tune.streamed and len(tune.unread) else [])
            self._resume(tune)
        return True

    def _forget_those_who_left(self) -> None:
        for line in (self._waiting, self._reading):
            for tune in [tune for tune in line if tune.left]:
                line.remove(tune)
        self._keep([row for row, tune in enumerate(self._playing) if not tune.left])

    def _resume(self, tune: Tune) -> None:
        """Lets a tune play, or read first what it is forced to say."""
        if len(tune.unread):
            self._reading.append(tune)
        else:
            self._playing.append(tune)
            self._state = State.stack([self._state, tune.state])

    def _read(self) -> None:
        """Moves the first tune in line through a stretch of its forced text."""
        if not self._reading:
            return
        tune = self._reading.popleft()
        ids, tune.unread = tune.unread[: self._read_chars], tune.unread[self._read_chars :]
        inputs = np.concatenate([[tune.last], ids[:-1]])[None]
        tune.state, _ = self.model.read(inputs, tune.state)
        tune.last = int(ids[-1])
        self._resume(tune)

    def _step(self) -> None:
        tunes, before = self._playing, self._state
        steps = self.model.steps_per_call
        last = [tune.last for tune in tunes]
        chars, self._state = self.model.sample(
            before,
            np.array(last, np.int64),
            np.stack([tune.uniforms(steps) for tune in tunes]),
            np.array([tune.plan.temperature for tune in tunes], np.float32),
            np.array([tune.plan.top_k for tune in tunes], np.int64),
            np.array([tune.plan.top_p for tune in tunes], np.float32),
        )
        self.characters += chars.size
        stay: list[int] = []
        rewound: list[Tune] = []
        news: list[tuple[Tune, str, bool]] = []
        for row, tune in enumerate(tunes):
            outcome = tune.take(chars[row], last[row])
            if outcome is Outcome.GOES_ON:
                tune.last = int(chars[row, -1])
                stay.append(row)
            elif outcome is Outcome.REWIND:
                tune.state = before.rows([row])
                rewound.append(tune)
            if tune.streamed or outcome is Outcome.FINISHED:
                news.append((tune, tune.new_text(), outcome is Outcome.FINISHED))
        self._keep(stay)
        for tune in rewound:
            self._resume(tune)
        self._hand_over(news)

    def _keep(self, rows: list[int]) -> None:
        if len(rows) < len(self._playing):
            self._playing = [self._playing[row] for row in rows]
            self._state = self._state.rows(rows)

    def _hand_over(self, news: list[tuple[Tune, str, bool]]) -> None:
        # One wake-up of the event loop a block, not one a tune.
        if news:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(_deliver, news)

    def _fail(self, error: Exception) -> None:
        while not self._submitted.empty():
            tune = self._submitted.get()
            if tune is not None:
                self._waiting.append(tune)
        for tune in (*self._waiting, *self._reading, *self._playing):
            failure = BrokenError(str(error))
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(tune.deliver, "", True, failure)


def _deliver(news: list[tuple[Tune, str, bool]]) -> None:
    for tune, piece, finished in news:
        tune.deliver(piece, finished)

"""Writes tunes with an exported bundle, many at a time: numpy and onnxruntime, no torch.

A `Tune` is one tune being written. It holds its own random numbers, so what comes out depends on its request and the
bundle alone, never on the tunes beside it in a `Batch` or on how many characters a call of the model makes. Evaluation
and the API write with the same two classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from components.labs.music.runtime.model import State, TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.tune import Tune

TuneT = TypeVar("TuneT", bound=Tune)


class Batch(Generic[TuneT]):
    """Tunes written together. Each joins when it likes, and leaves when it is finished or nobody wants it any more."""

    def __init__(self, model: TuneModel, read_chars: int | None = None) -> None:
        """read_chars: characters of forced text that are read between two blocks, so that a long one does not stall the
        other tunes; by default all there are."""
        self.model = model
        self.sampled = 0
        """Characters that the model has chosen, those thrown away included."""
        self._read_chars = read_chars
        self._reading: deque[tuple[TuneT, State]] = deque()
        self._playing: list[TuneT] = []
        self._state = model.initial_state(0)

    def __len__(self) -> int:
        return len(self._reading) + len(self._playing)

    def __iter__(self) -> Iterator[TuneT]:
        return iter([*(tune for tune, _ in self._reading), *self._playing])

    def join(self, tune: TuneT) -> None:
        """It is written from the next step on."""
        self._reading.append((tune, self.model.initial_state(1)))

    def leave(self, tunes: Iterable[TuneT]) -> None:
        """These are written no further."""
        gone = {id(tune) for tune in tunes}
        if gone:
            self._reading = deque(pair for pair in self._reading if id(pair[0]) not in gone)
            self._keep([row for row, tune in enumerate(self._playing) if id(tune) not in gone])

    def step(self, count: int | None = None) -> list[TuneT]:
        """Reads forced text, and writes up to `count` characters (by default the bundle's) of every other tune.

        Returns the tunes that were written. Those that are finished have left the batch.
        """
        self._read()
        tunes, before = self._playing, self._state
        if not tunes:
            return []
        settings = [tune.sampling for tune in tunes]
        characters = len(self.model.vocabulary)
        ids, self._state = self.model.sample(
            before,
            np.array([tune.last for tune in tunes], np.int64),
            np.stack([tune.uniforms(count or self.model.steps_per_call) for tune in tunes]),
            np.array([each.temperature for each in settings], np.float32),
            np.array([min(each.top_k or characters, characters) for each in settings], np.int64),
            np.array([each.top_p for each in settings], np.float32),
        )
        self.sampled += ids.size
        stay = []
        for row, tune in enumerate(tunes):
            goes_on = tune.take(ids[row])
            tune.save(before, row)
            if not goes_on and not tune.finished:
                goes_on = self._go_back(row, tune, before)
            if goes_on:
                stay.append(row)
        self._keep(stay)
        return tunes

    def _go_back(self, row: int, tune: TuneT, before: State) -> bool:
        """Returns whether the tune is back at its checkpoint; one that has more to read goes on in `_read`."""
        place = tune.checkpoint
        state = place.state if place and place.state else before.rows([row])
        if self._read_chars and len(tune.unread) > self._read_chars:
            self._reading.append((tune, state))
            return False
        if len(ids := tune.to_read(len(tune.unread))):
            state, _ = self.model.read(ids[None], state)
            tune.save_read(state)
        self._state.put(row, state)
        return True

    def _read(self) -> None:
        """Moves tunes through their forced text, each in turn; those that have read all of theirs are written next."""
        ready: list[tuple[TuneT, State]] = []
        left = self._read_chars or sum(len(tune.unread) for tune, _ in self._reading)
        while self._reading and (left or not len(self._reading[0][0].unread)):
            tune, state = self._reading.popleft()
            if len(ids := tune.to_read(left)):
                state, _ = self.model.read(ids[None], state)
                left -= len(ids)
            if len(tune.unread):
                self._reading.append((tune, state))
            else:
                tune.save_read(state)
                ready.append((tune, state))
        if ready:
            self._playing = [*self._playing, *(tune for tune, _ in ready)]
            self._state = State.stack([self._state, *(state for _, state in ready)])

    def _keep(self, rows: list[int]) -> None:
        if len(rows) < len(self._playing):
            self._playing = [self._playing[row] for row in rows]
            self._state = self._state.rows(rows)


def generate(model: TuneModel, requests: Sequence[TuneRequest], batch: int = 32) -> list[Sample]:
    """The requests' tunes, in their order, at most `batch` at a time. Raises UserError on an unknown character."""
    tunes = [Tune(request, model) for request in requests]
    waiting, together = deque(tunes), Batch[Tune](model)
    while waiting or len(together):
        while waiting and len(together) < batch:
            together.join(waiting.popleft())
        together.step()
    return [tune.sample for tune in tunes]

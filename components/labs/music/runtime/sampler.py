"""Writes tunes with an exported bundle, many at a time: numpy and onnxruntime, no torch.

A `Tune` is one tune being written. It holds its own random numbers, so what comes out depends on its request and the
bundle alone, never on the tunes beside it in a `Batch` or on how many characters a call of the model makes. Evaluation
and the API write with the same two classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from components.labs.music.runtime.history import History
from components.labs.music.runtime.model import TuneModel
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
        self._reading: deque[tuple[TuneT, History]] = deque()
        self._playing: list[tuple[TuneT, History]] = []

    def __len__(self) -> int:
        return len(self._reading) + len(self._playing)

    def __iter__(self) -> Iterator[TuneT]:
        return iter([tune for tune, _ in (*self._reading, *self._playing)])

    def join(self, tune: TuneT) -> None:
        """It is written from the next step on."""
        form = tune.request.form
        self._reading.append((tune, History(self.model.start_after(form.head if form else ""))))

    def leave(self, tunes: Iterable[TuneT]) -> None:
        """These are written no further."""
        gone = {id(tune) for tune in tunes}
        if gone:
            self._reading = deque(pair for pair in self._reading if id(pair[0]) not in gone)
            self._playing = [pair for pair in self._playing if id(pair[0]) not in gone]

    def take_over(self, other: Batch[TuneT]) -> None:
        """The other's tunes, of the same model, are written on here."""
        self._reading.extend(other._reading)
        self._playing.extend(other._playing)
        self.sampled += other.sampled
        other._reading.clear()
        other._playing, other.sampled = [], 0

    def step(self, count: int | None = None) -> list[TuneT]:
        """Reads forced text, and writes up to `count` characters (by default the bundle's) of every other tune.

        Returns the tunes that were written. Those that are finished have left the batch.
        """
        self._read()
        if not self._playing:
            return []
        tunes, histories = zip(*self._playing, strict=True)
        settings = [tune.sampling for tune in tunes]
        characters, steps_of_call = len(self.model.vocabulary), count or self.model.steps_per_call
        ids, steps = self.model.sample(
            History.together(histories),
            np.array([tune.last for tune in tunes], np.int64),
            np.stack([tune.uniforms(steps_of_call) for tune in tunes]),
            np.array([each.temperature for each in settings], np.float32),
            np.array([min(each.top_k or characters, characters) for each in settings], np.int64),
            np.array([each.top_p for each in settings], np.float32),
            padded([tune.given(steps_of_call) for tune in tunes], characters),
        )
        self.sampled += ids.size
        playing = []
        for row, (tune, history) in enumerate(self._playing):
            goes_on = tune.take(ids[row], partial(history.after, steps, row))
            if tune.finished:
                continue
            history.add(steps, row)
            if not goes_on and tune.resumed is not None:
                history.go_back(tune.resumed)
            playing.append((tune, history))
        self._playing = playing
        return list(tunes)

    def _read(self) -> None:
        """Moves tunes through their forced text, each in turn; those that have read all of theirs are written next."""
        left = self._read_chars or sum(len(tune.unread) for tune, _ in self._reading)
        while self._reading and (left or not len(self._reading[0][0].unread)):
            tune, history = self._reading.popleft()
            left -= self._read_part(tune, history, left)
            if len(tune.unread):
                self._reading.append((tune, history))
            else:
                tune.save_read(history.layers)
                self._playing.append((tune, history))

    def _read_part(self, tune: TuneT, history: History, most: int) -> int:
        """Reads up to `most` characters of the tune's unread text; returns how many it read."""
        if len(ids := tune.to_read(most)):
            state, _ = self.model.read(ids[None], History.together([history]))
            history.add_read(ids, state)
        return len(ids)


def padded(pieces: Sequence[np.ndarray], beyond: int) -> np.ndarray:
    """Rows (B, N) of pieces (n,) of different lengths, with at least one of `beyond` behind each."""
    rows = np.full((len(pieces), 1 + max(map(len, pieces))), beyond)
    for row, piece in zip(rows, pieces, strict=True):
        row[: len(piece)] = piece
    return rows


def generate(model: TuneModel, requests: Sequence[TuneRequest], batch: int = 32) -> list[Sample]:
    """The requests' tunes, in their order, at most `batch` at a time. Raises UserError on an unknown character."""
    tunes = [Tune(request, model) for request in requests]
    waiting, together = deque(tunes), Batch[Tune](model)
    while waiting or len(together):
        while waiting and len(together) < batch:
            together.join(waiting.popleft())
        together.step()
    return [tune.sample for tune in tunes]

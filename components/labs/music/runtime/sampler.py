"""Writes tunes with an exported bundle, many at a time: numpy and onnxruntime, no torch.

A `Tune` is one tune being written. It holds its own random numbers, so what comes out depends on its request and the
bundle alone, never on the tunes beside it in a `Batch` or on how many characters a call of the model makes. Evaluation
and the API write with the same two classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from components.datasets.music.reader import TUNE_END, TUNE_START
from components.errors import UserError
from components.labs.music.runtime.model import State, TuneModel

SEEDS = 2**53
"""How many seeds there are: more than that JavaScript cannot tell apart."""

RANGES = {
    "seed": (0, SEEDS - 1),
    "temperature": (0.01, 100),
    "top_k": (0, 2**31),
    "top_p": (0.001, 1),
    "max_length": (1, 2**31),
}
"""From least to most of what a request may say."""

UNIFORMS = 256
"""Random numbers that are drawn at once at first; later as many as there are already."""


@dataclass(frozen=True)
class TuneRequest:
    """A tune to write. The same request and bundle give the same tune."""

    seed: int
    temperature: float = 1.0
    top_k: int = 0
    """Only the k likeliest characters are picked from; 0 for no limit."""
    top_p: float = 1.0
    """Only the likeliest characters that together hold this share are picked from; 1 for no limit."""
    max_length: int = 1000
    """Characters that the model writes, at most. Forced ones do not count."""
    forced: Mapping[int, str] = field(default_factory=dict)
    """Text the tune must have at the start of these lines (from 0); the model writes the rest."""
    read_as: Mapping[int, str] = field(default_factory=dict)
    """What the model reads in place of the forced text of these lines, where it knows another spelling better."""

    def __post_init__(self) -> None:
        """Raises UserError naming the field that is out of range (NaN is)."""
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} is {value}: it must be from {low} to {high}")
        for line, text in self.forced.items():
            if TUNE_END in TUNE_START + text:
                raise UserError(f"the text forced at line {line} holds an empty line, which ends a tune: leave it out")


@dataclass(frozen=True)
class Sample:
    """A tune that was written, valid or not."""

    text: str
    """Without the empty line that ends it."""
    ended: bool
    """The model ended the tune itself; else it was cut off after max_length characters."""


class Tune:
    """A tune being written: a row of a Batch."""

    def __init__(self, request: TuneRequest, model: TuneModel) -> None:
        """Raises UserError where forced text holds a character that the model does not know."""
        self.request = request
        self.ended = False
        """The model has ended the tune itself."""
        self._vocabulary = model.vocabulary
        self._newline = int(self._vocabulary.encode(TUNE_START)[0])
        self.last = self._newline
        """The newest character that the model has chosen or knows of, and has not read."""
        self._random = np.random.Generator(np.random.PCG64(request.seed))
        self._uniforms = np.empty(0, np.float32)
        self._sampled = 0
        self._line = 0
        self._written: list[str] = []
        self._told = 0
        self.unread = self._force()
        """Ids (T,) that the model must read before it goes on."""

    @property
    def finished(self) -> bool:
        """Ended, or cut off."""
        return self.ended or self._sampled >= self.request.max_length

    @property
    def sample(self) -> Sample:
        """What is written so far."""
        text = "".join(self._written)
        return Sample(text.rstrip("\n") if self.ended else text, self.ended)

    def new_text(self) -> str:
        """What was written since this was last asked for."""
        new, self._told = self._written[self._told :], len(self._written)
        return "".join(new)

    def uniforms(self, count: int) -> np.ndarray:
        """(count,) float32 in [0, 1) for the next characters. A number belongs to a character that is kept: those of
        characters that are thrown away are used again."""
        end = self._sampled + count
        if end > len(self._uniforms):
            more = self._random.random(max(count, UNIFORMS, len(self._uniforms)), dtype=np.float32)
            self._uniforms = np.concatenate([self._uniforms, more])
        return self._uniforms[self._sampled : end]

    def take(self, chars: np.ndarray) -> bool:
        """Adds the characters (K,) that the model chose next, up to the tune's end or to where forced text begins.

        Returns whether all were taken and the model may go on from them. Else the tune is finished, or `unread` is what
        the model must read instead, from its state before these characters.
        """
        chars = chars[: self.request.max_length - self._sampled]
        for position in np.flatnonzero(chars == self._newline):
            if (chars[position - 1] if position else self.last) == self._newline:
                self._append(chars[:position])
                self.ended = True
                return False
            self._line += 1
            if self._line in self.request.forced:
                self._append(chars[: position + 1])
                self.unread = np.concatenate([chars[: position + 1], self._force()])
                return False
        self._append(chars)
        if self.finished:
            return False
        self.last = int(chars[-1])
        return True

    def to_read(self, most: int) -> np.ndarray:
        """Ids (T,) that the model reads to get past up to `most` characters of `unread`, which they are taken from."""
        part, self.unread = self.unread[:most], self.unread[most:]
        if not len(part):
            return part
        ids, self.last = np.concatenate([[self.last], part[:-1]]), int(part[-1])
        return ids

    def _append(self, chars: np.ndarray) -> None:
        self._sampled += len(chars)
        self._written.append(self._vocabulary.decode(chars))

    def _force(self) -> np.ndarray:
        """Writes the forced text of the line that starts here, and of the lines after it while it fills them.

        Returns what the model reads of it.
        """
        text = read = ""
        forced = self.request.forced
        while self._line in forced and (not text or text.endswith("\n")):
            addition = forced[self._line]
            read += self.request.read_as.get(self._line, addition)
            self._line += addition.count("\n")
            text += addition
        self._vocabulary.encode(text)  # it must be text that the model could have written
        self._written.append(text)
        return self._vocabulary.encode(read)


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
        requests = [tune.request for tune in tunes]
        characters = len(self.model.vocabulary)
        ids, self._state = self.model.sample(
            before,
            np.array([tune.last for tune in tunes], np.int64),
            np.stack([tune.uniforms(count or self.model.steps_per_call) for tune in tunes]),
            np.array([request.temperature for request in requests], np.float32),
            np.array([min(request.top_k or characters, characters) for request in requests], np.int64),
            np.array([request.top_p for request in requests], np.float32),
        )
        self.sampled += ids.size
        stay = []
        for row, tune in enumerate(tunes):
            if tune.take(ids[row]):
                stay.append(row)
            elif not tune.finished:
                self._reading.append((tune, before.rows([row])))
        self._keep(stay)
        return tunes

    def _read(self) -> None:
        """Moves tunes through their forced text, each in turn; those that have read all of theirs are written next."""
        ready: list[tuple[TuneT, State]] = []
        left = self._read_chars or sum(len(tune.unread) for tune, _ in self._reading)
        while self._reading and (left or not len(self._reading[0][0].unread)):
            tune, state = self._reading.popleft()
            if len(ids := tune.to_read(left)):
                state, _ = self.model.read(ids[None], state)
                left -= len(ids)
            (self._reading if len(tune.unread) else ready).append((tune, state))
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


def sample_seed(seed: int, index: int, attempt: int) -> int:
    """The seed of attempt `attempt` at tune `index` of a request: its own for the very first.

    So a tune that was returned is made again by asking for its own seed.
    """
    if index == attempt == 0:
        return seed
    high, low = np.random.SeedSequence([seed, index, attempt]).generate_state(2)
    return (int(high) << 32 | int(low)) % SEEDS

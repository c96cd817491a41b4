"""Tunes that are written together: `serving.core.batching`, with the lab's own sampler.

A step is one call of the model: `steps_per_call` characters of each tune, or `opening_steps` of streams that begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.sampler import Batch
from components.labs.music.runtime.tune import Tune
from serving.core.batching import Batcher, Delivery


class ServedTune(Tune):
    """A tune that somebody waits for in the event loop."""

    def __init__(self, request: TuneRequest, model: TuneModel, streamed: bool) -> None:
        """streamed: of Delivery."""
        super().__init__(request, model)
        self.delivery = Delivery(streamed)

    async def whole(self) -> Sample:
        """The tune, once it is written. Raises BrokenError."""
        await self.delivery.complete()
        return self.sample


class ServedBatch(Batch[ServedTune]):
    """The first characters of streams are written by a call of their own, which takes a tenth of the others' time."""

    def __init__(self, model: TuneModel, read_chars: int, opening_steps: int) -> None:
        """read_chars: of Batch. opening_steps: characters of a stream's first call."""
        super().__init__(model, read_chars)
        self._opening = Batch[ServedTune](model, read_chars)
        self._opening_steps = opening_steps
        self._opened = False
        """The last step was of streams that begin: now it is the others' turn, however many there are."""

    def __len__(self) -> int:
        return super().__len__() + len(self._opening)

    def __iter__(self) -> Iterator[ServedTune]:
        return chain(super().__iter__(), self._opening)

    def join(self, tune: ServedTune) -> None:
        """As of Batch. A stream whose first characters are given has begun already."""
        if tune.delivery.streamed and not len(tune.unread):
            self._opening.join(tune)
        else:
            super().join(tune)

    def leave(self, tunes: Iterable[ServedTune]) -> None:
        gone = list(tunes)
        super().leave(gone)
        self._opening.leave(gone)

    def step(self, count: int | None = None) -> list[ServedTune]:
        """As of Batch, of the streams that begin or of the others."""
        others = super().__len__()
        self._opened = len(self._opening) > 0 and not (self._opened and others)
        if not self._opened:
            return super().step(count)
        written = self._opening.step(self._opening_steps)
        self.take_over(self._opening)
        return written


class TuneBatcher(Batcher[ServedTune]):
    """active: tunes written together; waiting: tunes that may wait for a slot, in order; others: of ServedBatch."""

    batch: ServedBatch

    def __init__(self, model: TuneModel, active: int, waiting: int, read_chars: int, opening_steps: int) -> None:
        super().__init__(ServedBatch(model, read_chars, opening_steps), active, waiting)
        self.model = model

    @contextmanager
    def tune(self, request: TuneRequest, *, streamed: bool) -> Iterator[ServedTune]:
        """A tune that is being written; leaving the block before its end frees its slot.

        Raises BrokenError, and UserError where forced text holds a character that the model does not know.
        """
        with self.write(ServedTune(request, self.model, streamed)) as written:
            yield written

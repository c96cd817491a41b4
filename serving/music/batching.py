"""Tunes that are written together: `serving.core.batching`, with the lab's own sampler.

A step is one call of the model: `steps_per_call` characters of each tune.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


class TuneBatcher(Batcher[ServedTune]):
    """active: tunes written together; waiting: tunes that may wait for a slot, in order; read_chars: of Batch."""

    batch: Batch[ServedTune]

    def __init__(self, model: TuneModel, active: int, waiting: int, read_chars: int) -> None:
        super().__init__(Batch(model, read_chars), active, waiting)
        self.model = model

    @contextmanager
    def tune(self, request: TuneRequest, *, streamed: bool) -> Iterator[ServedTune]:
        """A tune that is being written; leaving the block before its end frees its slot.

        Raises BrokenError, and UserError where forced text holds a character that the model does not know.
        """
        with self.write(ServedTune(request, self.model, streamed)) as written:
            yield written

"""What the music API works with, built from a bundle before the first request."""

from __future__ import annotations

import numpy as np

from components.labs.music.params import MusicParams, Serve
from components.labs.music.runtime.conditioning import Options
from components.labs.music.runtime.model import TuneModel
from components.promoted import Served
from serving.core.backend import Backend
from serving.core.schemas import Info
from serving.core.worker import Worker
from serving.music import openapi, schemas
from serving.music.batching import TuneBatcher
from serving.music.generator import TuneGenerator
from serving.music.metrics import TuneMetrics


class MusicBackend(Backend):
    metrics: TuneMetrics
    limits: Serve

    def __init__(self, served: Served, params: MusicParams) -> None:
        """Loads the model and warms it up; starts no thread yet."""
        limits: Serve = params.serve
        options = Options.of_spec(served.bundle.spec)
        model = TuneModel.load(served.bundle, served.variant)
        warm_up(model, limits.active_tunes, options)
        self.batcher = TuneBatcher(
            model, limits.active_tunes, limits.waiting_tunes, limits.read_chars, limits.opening_steps
        )
        self.player = Worker(limits.audio_waiting)
        self.metres = options.metres
        self.requests = schemas.requests(limits, options)
        metrics = TuneMetrics(self.batcher)
        self.generator = TuneGenerator(self.batcher, options, limits, metrics)
        info = Info.of(served, limits, model.providers)
        document = openapi.document(self.requests, served.version)
        super().__init__(served, limits, self.batcher, info, document, metrics)

    def drain(self) -> None:
        super().drain()
        self.player.draining = True

    def stop(self) -> None:
        super().stop()
        self.player.stop()


def warm_up(model: TuneModel, active: int, options: Options) -> None:
    """Runs what requests will run, so that the first one finds memory allocated, code loaded, and what stands before a
    tune of each form read."""
    for head in options.heads():
        model.start_after(head)
    for batch in (1, active):
        model.read(np.zeros((1, 2), np.int64), model.initial_state(1))
        model.sample(
            model.initial_state(batch),
            np.zeros(batch, np.int64),
            np.zeros((batch, model.steps_per_call), np.float32),
            np.ones(batch, np.float32),
            np.full(batch, len(model.vocabulary)),
            np.ones(batch, np.float32),
        )

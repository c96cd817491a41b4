"""Everything the music API works with, built once from a bundle before the first request."""

from __future__ import annotations

import numpy as np

from components.config import LabParams
from components.labs.music.params import Serve
from components.labs.music.runtime.conditioning import Options
from components.labs.music.runtime.sampler import TuneModel
from serving.core.backend import House
from serving.core.bundles import Served
from serving.core.schemas import Info, Origin
from serving.core.worker import Worker
from serving.music import openapi, schemas
from serving.music.batching import Batcher
from serving.music.generator import TuneMaker
from serving.music.metrics import TuneMetrics


class TuneHouse(House):
    metrics: TuneMetrics
    limits: Serve

    def __init__(self, served: Served, params: LabParams) -> None:
        """Loads the model and warms it up; starts no thread yet."""
        limits: Serve = params.serve
        bundle, evaluation = served.bundle, served.evaluation
        model = TuneModel.load(bundle, evaluation.serve.get("graph") if evaluation else None)
        warm_up(model, limits.active_tunes)
        self.batcher = Batcher(model, limits.active_tunes, limits.waiting_tunes, limits.read_chars)
        self.player = Worker(limits.audio_waiting)
        options = Options.of_spec(bundle.spec)
        self.requests = schemas.requests(limits, options)
        info = Info(
            model=Origin.of(served, model.variant),
            spec=bundle.spec,
            providers=model.providers,
            limits=limits.model_dump(),
            metrics=evaluation.metrics if evaluation else {},
            weaknesses=list(evaluation.weaknesses) if evaluation else [],
        )
        document = openapi.document(self.requests, bundle.digest[:12])
        metrics = TuneMetrics(self.batcher)
        super().__init__(limits, self.batcher, metrics, info, document)
        self.maker = TuneMaker(self.batcher, options, limits, metrics)


def warm_up(model: TuneModel, active: int) -> None:
    """Runs what requests will run, so that the first one finds memory allocated and code loaded."""
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

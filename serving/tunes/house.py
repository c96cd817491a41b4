"""Everything the music API works with, built once from a bundle before the first request."""

from __future__ import annotations

import json

import numpy as np

from components.labs.music.params import Serve
from components.labs.music.runtime import TuneModel
from serving.bundles import Served
from serving.limits import Rules
from serving.metrics import Metrics
from serving.tunes import openapi, schemas
from serving.tunes.batching import Batcher
from serving.tunes.maker import TuneMaker
from serving.tunes.player import Player

ROUTES = frozenset(
    ("/generate", "/stream", "/tunes/midi", "/tunes/wav", "/info", "/livez", "/readyz", "/metrics", "/docs.json")
)


class House:
    def __init__(self, served: Served, limits: Serve) -> None:
        """Loads the model and warms it up; starts no thread yet."""
        bundle, evaluation = served.bundle, served.evaluation
        self.limits = limits
        self.model = TuneModel.load(bundle, evaluation.serve.get("graph") if evaluation else None)
        warm_up(self.model, limits.active_tunes)
        self.batcher = Batcher(self.model, limits.active_tunes, limits.waiting_tunes, limits.read_chars)
        self.player = Player(limits.audio_waiting)
        self.metrics = Metrics(self.batcher)
        self.maker = TuneMaker(self.batcher, limits, self.metrics)
        self.requests = schemas.requests(limits)
        self.origin = schemas.Origin(
            model_digest=bundle.digest,
            graph=self.model.variant,
            promoted=not served.unpromoted,
            mlflow_run=served.promotion.mlflow_run or "" if served.promotion else "",
            provenance=bundle.manifest.provenance,
        )
        self.info = schemas.Info(
            model=self.origin,
            spec=bundle.spec,
            providers=self.model.providers,
            limits=limits.model_dump(),
            metrics=evaluation.metrics if evaluation else {},
            weaknesses=list(evaluation.weaknesses) if evaluation else [],
        )
        self.docs = json.dumps(openapi.document(self.requests, bundle.digest[:12])).encode()
        self.rules = Rules(
            route=route,
            body_bytes=limits.body_bytes,
            body_seconds=limits.body_seconds,
            headers=_headers(self.origin),
            metrics=self.metrics,
        )


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


def route(path: str) -> str | None:
    """A path's name in metrics and logs: its own for the API's, one for whatever is of the page; None: no such path."""
    if path in ROUTES:
        return path
    return "page" if path == "/" or path.startswith("/static/") else None


def _headers(origin: schemas.Origin) -> list[tuple[bytes, bytes]]:
    made = origin.provenance
    headers = {
        "x-model-digest": origin.model_digest,
        "x-promoted": str(origin.promoted).lower(),
        "x-git-commit": made.git_commit,
        "x-data-version": made.data_version,
        "x-data-profile": made.data_profile,
        "x-params-hash": made.params_hash,
        "x-mlflow-run": origin.mlflow_run,
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]

"""Everything the images API works with, built once from a bundle before the first request."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from components.config import LabParams
from components.families.generation.params import Serve
from components.families.generation.runtime import Generator
from components.report.pictures import sheet
from serving.core.backend import House
from serving.core.bundles import Served
from serving.core.metrics import Metrics
from serving.core.schemas import Info, Origin
from serving.core.worker import Worker
from serving.generation import openapi
from serving.generation.schemas import SamplesQuery, WayQuery, limited


class ImagesHouse(House):
    limits: Serve

    def __init__(self, served: Served, params: LabParams) -> None:
        """Loads the model and warms it up."""
        bundle, evaluation = served.bundle, served.evaluation
        graph = evaluation.serve.get("graph") if evaluation else None
        self._model = Generator.load(bundle, graph)
        limits: Serve = params.serve
        self.samples_query = limited(SamplesQuery, limits.max_pictures)
        self.way_query = limited(WayQuery, limits.max_pictures)
        self.worker = Worker(limits.waiting)
        info = Info(
            model=Origin.of(served, graph or bundle.spec["variants"][0]),
            spec=bundle.spec,
            providers=self._model.providers,
            limits=limits.model_dump(),
            metrics=evaluation.metrics if evaluation else {},
            weaknesses=list(evaluation.weaknesses) if evaluation else [],
        )
        super().__init__(limits, self.worker, Metrics(), info, openapi.document(limits, bundle.digest[:12]))
        self.samples(SamplesQuery(count=1))

    def samples(self, query: SamplesQuery) -> bytes:
        """PNG of the pictures of a seed, in rows of a square."""
        return _png(sheet(self._model.samples(query.seed, query.count), math.ceil(math.sqrt(query.count))))

    def way(self, query: WayQuery) -> bytes:
        """PNG of a row of pictures, from one seed's first to another's."""
        return _png(sheet(self._model.interpolation(query.first, query.last, query.count), query.count))


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file, "PNG")
    return file.getvalue()

"""What the generation API works with, built from a bundle before the first request."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from components.families.generation.params import GenerationParams, Serve
from components.families.generation.runtime import Generator
from components.promoted import Served
from components.report.pictures import sheet
from serving.core.backend import Backend
from serving.core.schemas import Info
from serving.core.worker import Worker
from serving.generation import openapi
from serving.generation.schemas import InterpolationQuery, SamplesQuery, limited


class GenerationBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: GenerationParams) -> None:
        """Loads the model and warms it up."""
        limits: Serve = params.serve
        self._model = Generator.load(served.bundle, served.variant)
        self.samples_query = limited(SamplesQuery, limits.max_pictures)
        self.interpolation_query = limited(InterpolationQuery, limits.max_pictures)
        self.worker = Worker(limits.waiting)
        info = Info.of(served, limits, self._model.providers)
        super().__init__(served, limits, self.worker, info, openapi.document(limits, served.version))
        self.samples(SamplesQuery(count=1))

    def samples(self, query: SamplesQuery) -> bytes:
        """PNG of the pictures of a seed, in rows of a square."""
        return _png(sheet(self._model.samples(query.seed, query.count), math.ceil(math.sqrt(query.count))))

    def interpolation(self, query: InterpolationQuery) -> bytes:
        """PNG of a row of pictures, from one seed's first to another's."""
        return _png(sheet(self._model.interpolation(query.first, query.last, query.count), query.count))


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file, "PNG")
    return file.getvalue()

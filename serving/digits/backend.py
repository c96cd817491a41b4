"""What the digits API works with, built from a bundle before the first request."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.families.classification.params import Serve
from components.families.classification.runtime import SIZE, DigitModel, DistanceModel
from serving.core.backend import Backend
from serving.core.bundles import Served
from serving.core.pictures import Picture, decode
from serving.core.schemas import Info
from serving.core.worker import Worker
from serving.digits import openapi
from serving.digits.preprocess import framed
from serving.digits.schemas import ReadAnswer


class DigitsBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: Any) -> None:
        """Loads the model and warms it up."""
        limits: Serve = params.serve
        self._model = DigitModel.load(served.bundle, served.variant)
        self._distance = DistanceModel.load(served.bundle)
        self.worker = Worker(limits.waiting)
        info = Info.of(served, limits, self._model.providers)
        super().__init__(served, limits, self.worker, info, openapi.document(limits, served.version))
        self.read(np.zeros((SIZE, SIZE), np.uint8))

    def read_picture(self, picture: Picture) -> ReadAnswer:
        """Raises RefusalError where it is damaged, or there is nothing on it."""
        least = (8 * SIZE, 8 * SIZE)  # a digit may fill a small part of the paper
        return self.read(framed(decode(picture, least), self.limits.paper))

    def read(self, image: np.ndarray) -> ReadAnswer:
        """image: (28, 28) uint8, framed as MNIST's."""
        probabilities = self._model.probabilities(image[None])[0].tolist()
        distance = float(self._distance.distances(image[None])[0]) if self._distance else None
        return ReadAnswer(
            digit=int(np.argmax(probabilities)),
            probabilities=probabilities,
            image=image.tolist(),
            abstain=None if self._distance is None or distance is None else distance > self._distance.limit,
            distance=distance,
            model=self.origin,
        )

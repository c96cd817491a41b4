"""Everything the digits API works with, built once from a bundle before the first request."""

from __future__ import annotations

import numpy as np

from components.config import LabParams
from components.families.classification.params import Serve
from components.families.classification.runtime import DigitModel
from serving.core.backend import House
from serving.core.bundles import Served
from serving.core.metrics import Metrics
from serving.core.pictures import Picture, decode
from serving.core.schemas import Info, Origin
from serving.core.worker import Worker
from serving.digits import openapi
from serving.digits.preprocess import SIZE, framed
from serving.digits.schemas import ReadAnswer


class DigitsHouse(House):
    limits: Serve

    def __init__(self, served: Served, params: LabParams) -> None:
        """Loads the model and warms it up."""
        bundle, evaluation = served.bundle, served.evaluation
        graph = evaluation.serve.get("graph") if evaluation else None
        self._model = DigitModel.load(bundle, graph)
        limits: Serve = params.serve
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
        self.read(np.zeros((SIZE, SIZE), np.uint8))

    def see(self, picture: Picture) -> ReadAnswer:
        """Reads a drawing. Raises RefusalError."""
        least = (8 * SIZE, 8 * SIZE)  # a digit may fill a small part of the paper
        return self.read(framed(decode(picture, least), self.limits.paper))

    def read(self, image: np.ndarray) -> ReadAnswer:
        """image: (28, 28) uint8, framed as MNIST's."""
        probabilities = self._model.probabilities(image[None])[0].tolist()
        return ReadAnswer(
            digit=int(np.argmax(probabilities)), probabilities=probabilities, image=image.tolist(), model=self.origin
        )

"""What the transfer API works with, built from a bundle before the first request."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.datasets.faces.category_reader import square
from components.labs.transfer.params import Serve
from components.labs.transfer.runtime.head import Head, left_out_accuracy
from components.labs.transfer.runtime.model import CategoryModel
from components.promoted import Served
from components.stats import softmax
from serving.core.backend import Backend
from serving.core.pictures import Picture, decode, open_picture
from serving.core.problems import RefusalError, wrong_fields
from serving.core.schemas import Info
from serving.core.worker import Worker
from serving.transfer import openapi
from serving.transfer.schemas import BEST, ClassifyAnswer, Found, TaughtCategory, TeachAnswer
from serving.transfer.taught import Taught, TaughtModels

LONGEST_NAME = 60


class TransferBackend(Backend):
    limits: Serve

    def __init__(self, served: Served, params: Any) -> None:
        """Loads the model and warms it up."""
        limits: Serve = params.serve
        self._model = CategoryModel.load(served.bundle, served.variant)
        self.taught = TaughtModels(limits.max_taught, limits.taught_seconds)
        self.worker = Worker(limits.waiting)
        info = Info.of(served, limits, self._model.providers)
        document = openapi.document(limits, served.version, len(self._model.categories))
        super().__init__(served, limits, self.worker, info, document)
        self._model.logits(np.zeros((1, self._model.size, self._model.size, 3), np.uint8))

    def open(self, content: bytes) -> Picture:
        return open_picture(content, self.limits)

    def classify(self, picture: Picture, taught: Taught | None) -> ClassifyAnswer:
        """Raises RefusalError where the picture is damaged."""
        image = self._read(picture)[None]
        if taught:
            names, shares = taught.names, taught.head.probabilities(self._model.features(image))[0]
        else:
            names, shares = self._model.categories, softmax(self._model.logits(image))[0]
        best = np.argsort(-shares, kind="stable")[:BEST]
        found = [Found(category=names[place], probability=float(shares[place])) for place in best]
        return ClassifyAnswer(categories=found, model=self.origin)

    def features(self, picture: Picture) -> np.ndarray:
        """(F,). Raises RefusalError where the picture is damaged."""
        features: np.ndarray = self._model.features(self._read(picture)[None])[0]
        return features

    def teach(self, names: list[str], features: np.ndarray) -> TeachAnswer:
        """names: of each picture's category; features: (N, F) of the pictures."""
        categories, labels = np.unique(names, return_inverse=True)
        decay = self.limits.weight_decay
        model = Taught(Head.fit(features, labels, decay), tuple(categories.tolist()))
        counts = np.bincount(labels).tolist()
        return TeachAnswer(
            taught=self.taught.keep(model),
            categories=[
                TaughtCategory(category=name, pictures=count) for name, count in zip(model.names, counts, strict=True)
            ],
            left_out_accuracy=left_out_accuracy(features, labels, decay),
            seconds=self.limits.taught_seconds,
            model=self.origin,
        )

    def check_categories(self, names: list[str]) -> None:
        """Raises RefusalError (422) for names that are none, too few categories, or too many."""
        for name in names:
            if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
                raise wrong_fields(
                    [(name[:LONGEST_NAME], f"a category's name has 1 to {LONGEST_NAME} printable letters")]
                )
        count, most = len(set(names)), self.limits.max_categories
        if not 2 <= count <= most:
            raise RefusalError(422, f"a model is taught 2 to {most} categories, and the form has pictures of {count}")

    def _read(self, picture: Picture) -> np.ndarray:
        size = self._model.size
        return square(decode(picture, (size, size)), size)

"""What the digits API works with, built from a bundle before the first request."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.families.classification.params import Serve
from components.families.classification.runtime import SIZE, DigitModel, DistanceModel
from components.promoted import Served
from serving.core.backend import Backend
from serving.core.pictures import Picture, decode
from serving.core.schemas import Info
from serving.core.worker import Worker
from serving.digits import openapi
from serving.digits.marks import Box
from serving.digits.preprocess import LARGEST, framed
from serving.digits.schemas import OneDigit, ReadAnswer, ReadDigit


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
        """Raises RefusalError where it is damaged, there is nothing on it, or there are too many marks."""
        size = picture.width, picture.height  # before it is decoded, perhaps at half of it
        decoded = decode(picture, (LARGEST, LARGEST))
        scale = size[0] / decoded.width, size[1] / decoded.height
        cuts = framed(decoded, self.limits.paper, self.limits.max_digits)
        boxes = [cut.box.scaled(*scale) for cut in cuts]
        return self._answer(np.stack([cut.image for cut in cuts]), boxes, size)

    def read(self, image: np.ndarray) -> ReadAnswer:
        """image: (28, 28) uint8, framed as MNIST's."""
        return self._answer(image[None], [Box(0, 0, SIZE, SIZE)], (SIZE, SIZE))

    def _answer(self, images: np.ndarray, boxes: list[Box], size: tuple[int, int]) -> ReadAnswer:
        """images: (digits, 28, 28). size: width and height of the picture."""
        probabilities = self._model.probabilities(images)
        distances = self._distance.distances(images).tolist() if self._distance else [None] * len(images)
        digits = [
            ReadDigit(
                digit=int(of_digits.argmax()),
                probability=float(of_digits.max()),
                probabilities=of_digits.tolist(),
                image=image.tolist(),
                abstain=distance > self._distance.limit if self._distance else None,
                distance=distance,
                **box._asdict(),
            )
            for of_digits, image, distance, box in zip(probabilities, images, distances, boxes, strict=True)
        ]
        one = digits[0].model_dump(include=set(OneDigit.model_fields)) if len(digits) == 1 else {}
        return ReadAnswer(**one, digits=digits, width=size[0], height=size[1], model=self.origin)

"""Looks at pictures as evaluation and audit did: the same graph, framing, thresholds and settings."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from components.config import PictureLimits
from components.datasets.faces.reader import centre
from components.drift import PICTURE_SIDE
from components.labs.faces import params
from components.labs.faces.features import features
from components.labs.faces.runtime.detection import detect
from components.labs.faces.runtime.model import FaceModel
from components.stats import sigmoid
from serving.core.pictures import FORMATS, Picture, decode, middle_square, open_picture
from serving.faces.schemas import Classification, Detection, Face


class Detector:
    """chosen: evaluation's `serve`. Where it says nothing, a face is what is likelier one than not, and boxes are
    looked for by `detection`."""

    def __init__(
        self, model: FaceModel, chosen: Mapping[str, Any], detection: params.Detection, limits: PictureLimits
    ) -> None:
        self._model = model
        self._limits = limits
        self._threshold = float(chosen.get("threshold", 0.0))
        self._detection_threshold = float(chosen.get("detection_threshold", self._threshold))
        self._detection = params.Detection(**chosen["detection"]) if "detection" in chosen else detection
        self.threshold = _probability(self._threshold)
        self.detection_threshold = _probability(self._detection_threshold)

    def open(self, content: bytes) -> Picture:
        """Raises RefusalError."""
        return open_picture(content, self._limits)

    def classify(self, picture: Picture) -> tuple[Classification, dict[str, float]]:
        """Is this a face? And the picture's features. It is framed as the audit's are. Raises RefusalError."""
        side = self._model.picture_size
        image = decode(picture, (side, side))
        crop = centre(np.asarray(middle_square(image, side))[None])
        logits = self._model.logits(crop)
        counted = {name: float(values[0]) for name, values in features(crop, logits).items()}
        logit = float(logits[0])
        found = Classification(is_face=logit > self._threshold, probability=_probability(logit))
        return found, {**counted, PICTURE_SIDE: max(picture.size)}

    def detect(self, picture: Picture) -> Detection:
        """Where are faces in this photograph? Raises RefusalError."""
        width, height = picture.width, picture.height
        # The largest scale of the pyramid: a decoder need not give more pixels than are looked at.
        scale = min(
            1, self._model.size / self._detection.min_face, (self._detection.max_pixels / width / height) ** 0.5
        )
        image = decode(picture, (math.ceil(width * scale), math.ceil(height * scale)))
        found = detect(self._model, np.asarray(image), self._threshold, self._detection).above(
            self._detection_threshold
        )
        boxes = found.boxes * np.tile([width / image.width, height / image.height], 2)
        boxes = np.clip(boxes, 0, [width, height, width, height])
        faces = [
            Face(left=left, top=top, right=right, bottom=bottom, score=score)
            for (left, top, right, bottom), score in zip(
                boxes.round(1).tolist(), sigmoid(found.logits).tolist(), strict=True
            )
        ]
        return Detection(faces=faces, width=width, height=height)

    def warm_up(self) -> None:
        """Looks at a picture of each format, so that the first request finds decoders loaded and memory allocated."""
        for name in FORMATS:
            content = io.BytesIO()
            Image.new("RGB", (640, 480), "grey").save(content, name)
            self.classify(self.open(content.getvalue()))
            self.detect(self.open(content.getvalue()))


def _probability(logit: float) -> float:
    return float(sigmoid(np.array(logit)))

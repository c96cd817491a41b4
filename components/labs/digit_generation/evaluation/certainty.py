"""Which pictures the lab digits reads with certainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.families.classification.runtime import DigitModel, DistanceModel

if TYPE_CHECKING:
    import numpy as np

    from components.bundle import Bundle
    from components.families.generation.evaluation.measures import Certain


def reader(classifier: Bundle, certainty: float) -> Certain:
    """classifier: a bundle of the lab digits. A picture counts where one of its ten digits is as probable as
    `certainty`, and where it is not taken for none."""
    model, distance = DigitModel.load(classifier), DistanceModel.load(classifier)

    def read(images: np.ndarray) -> np.ndarray:
        digits = images[..., 0]
        found = model.probabilities(digits).max(axis=1) >= certainty
        known: np.ndarray = found & (distance.distances(digits) <= distance.limit) if distance else found
        return known

    return read

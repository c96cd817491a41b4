"""How far two models' answers to one picture are from each other."""

from __future__ import annotations

from serving.core.shadow import Difference
from serving.digits.schemas import ReadAnswer

COMPARED = {
    "/read": "half of the sum of differences of a digit's ten probabilities, of the digit where that is largest; they "
    "agree where they read the same digits and abstain from the same",
}


def readings(one: ReadAnswer, other: ReadAnswer) -> Difference:
    """Both cut the same digits out of a picture: only what is read differs."""
    pairs = list(zip(one.digits, other.digits, strict=True))
    agree = all((a.digit, bool(a.abstain)) == (b.digit, bool(b.abstain)) for a, b in pairs)
    return Difference(agree, max(_variation(a.probabilities, b.probabilities) for a, b in pairs))


def _variation(one: list[float], other: list[float]) -> float:
    return min(1.0, sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2)

"""Which of a bundle's variants is served, and what the choice costs."""

from __future__ import annotations

from collections.abc import Mapping

Variants = Mapping[str, Mapping[str, float]]
"""Metrics of each variant, "float", "int8" or both, by name."""


def quantisation_cost(variants: Variants, metric: str, lower_is_better: bool = False) -> float:
    """What int8 loses of a metric against float, in its unit; 0 where there is nothing to compare."""
    if not {"float", "int8"} <= variants.keys():
        return 0.0
    lost = variants["float"][metric] - variants["int8"][metric]
    return -lost if lower_is_better else lost


def choose(variants: Variants, cost: float, max_cost: float) -> str:
    """The variant to serve: int8, the smaller and faster one, where it is there and its `cost` is allowed."""
    return "int8" if "float" not in variants or ("int8" in variants and cost <= max_cost) else "float"

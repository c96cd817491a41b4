"""int8 is served where what it costs on validation data is allowed, and nothing else has a say."""

import pytest

from components.onnx.quantisation import choose_variant, quantisation_cost


@pytest.mark.parametrize(
    ("metric", "lower_is_better", "whole", "int8", "cost"),
    [
        ("bits_per_char_validation", True, 1.30, 1.33, 0.03),
        ("bits_per_char_validation", True, 1.30, 1.29, -0.01),
        ("accuracy_validation", False, 0.990, 0.985, 0.005),
        ("accuracy_validation", False, 0.990, 0.995, -0.005),
    ],
)
def test_the_cost_is_what_int8_loses(
    metric: str, lower_is_better: bool, whole: float, int8: float, cost: float
) -> None:
    variants = {"float": {metric: whole, "test": 0.0}, "int8": {metric: int8, "test": 1.0}}
    assert quantisation_cost(variants, metric, lower_is_better) == pytest.approx(cost)


@pytest.mark.parametrize(("cost", "served"), [(-0.1, "int8"), (0.02, "int8"), (0.0201, "float"), (0.5, "float")])
def test_int8_is_served_unless_it_costs_too_much(cost: float, served: str) -> None:
    assert choose_variant({"float": {}, "int8": {}}, cost, max_cost=0.02) == served


@pytest.mark.parametrize("variant", ["float", "int8"])
def test_the_only_variant_there_is_costs_nothing_and_is_served(variant: str) -> None:
    variants = {variant: {"accuracy_validation": 0.9}}
    cost = quantisation_cost(variants, "accuracy_validation")
    assert cost == 0
    assert choose_variant(variants, cost, max_cost=0.0) == variant

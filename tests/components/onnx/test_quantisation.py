"""int8 is served where what it costs on validation data is allowed, and nothing else has a say."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from components.errors import UserError
from components.onnx.export import export_graph
from components.onnx.quantisation import choose_variant, quantisation_cost, write_int8


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


@pytest.mark.parametrize(("left_out", "rounded"), [({}, [0, 1, 2]), ({"Conv": [0]}, [1, 2]), ({"Conv": [0, -1]}, [1])])
def test_the_convolutions_that_are_named_stay_floats(
    left_out: dict[str, list[int]], rounded: list[int], tmp_path: Path
) -> None:
    pictures = torch.rand(4, 3, 8, 8).numpy()
    model = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)))
    export_graph(model.eval(), {"images": pictures}, ("maps",), tmp_path / "float.onnx")
    write_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", [{"images": pictures}], ["Conv"], left_out)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    weights = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    made = {node.output[0]: node.op_type for node in graph.node}
    assert [place for place, name in enumerate(weights) if made.get(name) == "DequantizeLinear"] == rounded


def test_a_convolution_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pictures = np.zeros((1, 3, 8, 8), np.float32)
    export_graph(nn.Conv2d(3, 3, 3).eval(), {"images": pictures}, ("maps",), tmp_path / "float.onnx")
    with pytest.raises(UserError, match="Conv number 1 a float: the graph has 1"):
        write_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", [{"images": pictures}], ["Conv"], {"Conv": [1]})
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]

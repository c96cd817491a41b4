"""Exported graphs take any size along their varying axes, and parity finds where one differs from its model."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from components.errors import UserError
from components.onnx.export import OPSET, export_graph
from components.onnx.parity import check_parity, compare
from components.settings import project_root
from components.training.finite import check_finite


class Means(nn.Module):
    """pictures (B, H, W, 3) to scaled channel means (B, 3) and their bytes."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        means = pictures.float().mean(dim=(1, 2)) * self.factor
        return means, means.round().to(torch.uint8)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "float.onnx"
    export_graph(Means(), {"pictures": pictures(3, 16, 24)}, ["means", "bytes"], path, axes=(0, 1, 2))
    return path


def pictures(batch: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def test_a_graph_computes_its_model_at_sizes_that_the_export_has_not_seen(graph: Path) -> None:
    cases = [{"pictures": pictures(*shape)} for shape in ((1, 8, 8), (2, 40, 17), (65, 16, 24))]
    report = compare(graph, Means(), cases)
    assert [case["shape"] for case in report] == [[1, 8, 8, 3], [2, 40, 17, 3], [65, 16, 24, 3]]
    assert max(case["means"] for case in report) < 1e-3
    check_parity({"float": report}, 1e-3, unbounded=("bytes",))


def test_a_graph_is_one_file_of_the_project_s_opset_with_a_named_batch(graph: Path) -> None:
    model = onnx.load(graph)
    assert [path.name for path in graph.parent.iterdir()] == [graph.name]
    assert model.opset_import[0].version == OPSET
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_graph_that_differs_is_named_with_its_output_and_shape(graph: Path) -> None:
    report = {"float": compare(graph, Means(1.01), [{"pictures": pictures(2, 8, 8)}])}
    with pytest.raises(UserError, match=r"graph float differs .* in its means \(shape \[2, 8, 8, 3\]; allowed 0\.001"):
        check_parity(report, 1e-3, unbounded=("bytes",))
    check_parity({"int8": report["float"]}, 1e-3)


def test_a_difference_that_is_not_a_number_is_refused(graph: Path) -> None:
    report = {"float": compare(graph, Means(float("nan")), [{"pictures": pictures(2, 8, 8)}])}
    with pytest.raises(UserError, match="differs from the model by nan in its means"):
        check_parity(report, 1e9, unbounded=("bytes",))


def test_a_relative_difference_is_a_share_of_the_largest_value(graph: Path) -> None:
    case = {"pictures": pictures(4, 8, 8)}
    absolute, relative = (compare(graph, Means(1.01), [case], names)[0]["means"] for names in ((), ("means",)))
    largest = float(np.abs(case["pictures"].mean(axis=(1, 2)) * 1.01).max())
    assert relative == pytest.approx(absolute / largest, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_and_buffers_that_are_no_numbers_are_one_line(value: float) -> None:
    norm = nn.BatchNorm1d(3)
    check_finite(norm)
    norm.running_mean[1] = value  # type: ignore[index]
    with pytest.raises(UserError, match="training diverged"):
        check_finite(norm)


def test_one_module_calls_torch_s_exporter() -> None:
    root = project_root()
    calls = {
        path.relative_to(root).as_posix()
        for folder in ("components", "pipelines", "serving", "benchmarks")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.onnx.export"
    }
    assert calls == {"components/onnx/export.py"}

"""int8 models are exact on any processor, by its own instructions or by other kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from components.bundle import Bundle
from components.onnx import cpu
from tests.components import bundles

ROWS, INNER, COLUMNS = 32, 512, 64


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", "flags: fpu avx2 avx512f", False),
        ("x86_64", "flags: fpu avx2 avx512f avx512_vnni", True),
        ("AMD64", "flags: avx2 avx_vnni", True),
        ("x86_64", None, False),
        ("aarch64", None, True),
    ],
)
def test_a_processor_counts_as_exact_only_where_it_is_known_to_be(
    machine: str, flags: str | None, exact: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert cpu.sums_bytes_exactly.__wrapped__() is exact


def product(weights: np.ndarray) -> onnx.ModelProto:
    """x (rows, INNER) uint8 -> y = (x - 128) @ weights, as int8 graphs multiply."""
    constants = {"scale": np.float32(1), "x_zero": np.uint8(128), "zero": np.int8(0), "weights": weights}
    names = ["x", "weights", "scale", "scale", "x_zero", "zero"]
    graph = helper.make_graph(
        [helper.make_node("MatMulIntegerToFloat", names, ["y"], domain="com.microsoft")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", INNER])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", COLUMNS])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return bundles.model(graph)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("rows", [1, ROWS])
def test_the_largest_products_are_summed_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool, rows: int
) -> None:
    if own and not cpu.sums_bytes_exactly():
        pytest.skip("this processor has no such instructions: the other kernels are used")
    monkeypatch.setattr("components.bundle.sums_bytes_exactly", lambda: own)
    weights = np.full((INNER, COLUMNS), 127, np.int8)
    weights[:, ::2] = -127
    found = bundles.write(tmp_path / "bundle", product(weights)).session("step")
    (y,) = found.run(None, {"x": np.full((rows, INNER), 255, np.uint8)})
    assert np.array_equal(y, np.full((rows, INNER), 127) @ weights.astype(np.int64))


def test_a_bundle_opens_where_nothing_is_known_of_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundles.write(tmp_path / "bundle")
    monkeypatch.setattr("components.bundle.sums_bytes_exactly", lambda: False)
    assert Bundle.open(bundle.folder).session("step").get_inputs()[0].name == "x"

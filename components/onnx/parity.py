"""Whether exported graphs compute what the torch model computes: largest differences, and the tolerance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from components.errors import UserError

Case = dict[str, Any]
"""One comparison: "shape" of the first input, and the largest difference of each output, by the output's name."""


def compare(
    graph: Path,
    reference: Callable[..., Tensor | tuple[Tensor, ...]],
    cases: Iterable[Mapping[str, np.ndarray]],
    relative: Collection[str] = (),
) -> list[Case]:
    """Runs a graph and its torch reference on each of `cases`, which are inputs by name in the graph's order.

    The differences of outputs in `relative` are shares of the output's largest value.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    report = []
    for case in cases:
        inputs = {name: np.ascontiguousarray(array) for name, array in case.items()}
        with torch.inference_mode():
            expected = reference(*map(torch.from_numpy, inputs.values()))
        tensors = expected if isinstance(expected, tuple) else (expected,)
        differences: Case = {"shape": list(next(iter(inputs.values())).shape)}
        for name, found, tensor in zip(names, session.run(None, inputs), tensors, strict=True):
            wanted = tensor.numpy().astype(np.float64)
            scale = np.abs(wanted).max() if name in relative else 1.0
            differences[name] = float(np.abs(found - wanted).max() / scale)
        report.append(differences)
    return report


def check_parity(report: Mapping[str, Iterable[Case]], tolerance: float, unbounded: Collection[str] = ()) -> None:
    """Raises UserError where a float graph differs by more than `tolerance` in an output, or by NaN.

    report: cases by graph. int8 graphs differ by design, and evaluation measures what that costs: they are not checked.
    unbounded: outputs that are reported only, such as rounded bytes.
    """
    for graph, cases in report.items():
        for case in cases if not graph.startswith("int8") else ():
            for output, difference in case.items():
                # `not <=` also refuses NaN.
                if output not in ("shape", *unbounded) and not difference <= tolerance:
                    raise UserError(
                        f"the graph {graph} differs from the model by {difference:.2g} in its {output} "
                        f"(shape {case['shape']}; allowed {tolerance:g}): it is not exported"
                    )

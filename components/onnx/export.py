"""The only place that calls torch.onnx.export: one file, fixed opset, axes that may vary."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

OPSET = 20


def export_graph(
    module: nn.Module,
    inputs: Mapping[str, np.ndarray],
    outputs: Iterable[str],
    path: Path,
    axes: Collection[int] = (0,),
    batch: str | None = "batch",
) -> None:
    """Writes `module`, in evaluation mode, as an ONNX graph to `path`, with its weights inside the file.

    inputs: an example of each input, by name; the examples' sizes along `axes`, where they have so many, do not
    bind the graph.
    batch: the name of axis 0 in all inputs and outputs; None keeps the exporter's names.
    """
    for logger in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    examples = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in inputs.values())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter warns about torch's own deprecations
        torch.onnx.export(
            module.eval(),
            examples,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=_free(module, examples, axes),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
    if batch is not None:
        _name_batch(path, batch)
    onnx.checker.check_model(path)


def _free(module: nn.Module, examples: Sequence[Tensor], axes: Collection[int]) -> tuple[Any, ...]:
    """The axes of every input that do not bind the graph, in the form of the module's arguments: `*rest` is one."""
    # AUTO: in a second export of the same process a named dimension froze without a warning.
    free = [
        dict.fromkeys((axis for axis in axes if axis < example.ndim), torch.export.Dim.AUTO) for example in examples
    ]
    kinds = [argument.kind for argument in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return tuple(free)
    named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*free[:named], tuple(free[named:]))


def _name_batch(path: Path, name: str) -> None:
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = name
    onnx.save(model, path)

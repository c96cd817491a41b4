"""Features of pictures: the values before the last layer of another lab's classifier."""

from __future__ import annotations

import numpy as np
import onnx

from components.bundle import Bundle
from components.errors import BundleError

LAYERS = ("Gemm", "MatMul", "Conv")


class Features:
    """The float graph of a classifier's bundle, without its last layer.

    Fréchet distances are measured in these features. They come from a small network trained on this repository's own
    data, not from Inception, so no figure compares with a published one.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Raises BundleError when the bundle has no float graph, or one without a layer."""
        graphs = bundle.manifest.graphs
        if "float" not in graphs:
            raise BundleError(f"{bundle.folder} has no graph 'float', which pictures are measured with")
        graph = onnx.load(bundle.folder / graphs["float"].file).graph
        self._name = before_last_layer(graph)
        self._input, *_ = graphs["float"].inputs
        self._shape = graphs["float"].inputs[self._input].shape[1:]
        self._session = bundle.session("float", inner=(self._name,))

    def __call__(self, images: np.ndarray, batch: int) -> np.ndarray:
        """(N, features) float64 of images (N, H, W, C) uint8. Raises BundleError where it reads other sizes."""
        if self._shape not in (images.shape[1:], images.shape[1:3]):
            raise BundleError(f"the classifier reads pictures of {self._shape}, not of {images.shape[1:]}")
        images = images.reshape(len(images), *self._shape)
        parts = [
            self._session.run([self._name], {self._input: np.ascontiguousarray(images[first : first + batch])})[0]
            for first in range(0, len(images), batch)
        ]
        return np.concatenate(parts).reshape(len(images), -1).astype(np.float64)


def before_last_layer(graph: onnx.GraphProto) -> str:
    """The value that enters the last layer with weights on the way to the graph's first output. Raises BundleError."""
    makers = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name for tensor in graph.initializer}
    name = graph.output[0].name
    while name in makers:
        node = makers[name]
        computed = [value for value in node.input if value not in weights]
        if node.op_type in LAYERS:
            return str(computed[0])
        name = computed[0] if computed else ""
    raise BundleError("the classifier has no layer with weights: pictures can't be measured with it")

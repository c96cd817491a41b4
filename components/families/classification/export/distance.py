"""Is it a digit at all? How far a picture is from the training digits, as a graph beside the classifier's.

A classifier of digits calls every picture one, and is often sure of it. Distance to the training data asks another
question. Pictures are slightly blurred first, so that a stroke a pixel beside another is near it.

The graphs are written in ONNX's own language: what chooses a detector is then what is served, and torch's exporter
takes longer than to compute all the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor

from components.datasets.digits.reader import DIGITS, SIZE
from components.onnx.export import OPSET

KERNEL = (0.25, 0.5, 0.25)
"""Weights of the blur along each axis."""
LONGEST = float(SIZE)
"""Largest Euclidean distance of two pictures."""
AT_ONCE = 100
"""Pictures that are compared together: with 20,000 prototypes they take 8 MB, which stay in a processor's cache."""
SHARED = 128
"""Principal components of all digits among which those of a single digit are sought."""
IR_VERSION = 10

BLUR = """
    ink = Cast <to = 1> (images)
    of_columns = MatMul (blur, ink)
    of_rows = MatMul (of_columns, blur)
    blurred = Reshape (of_rows, flat)
"""
"""images (B, 28, 28) uint8 to blurred ink (B, 784), 0 to 1: `blur` also brings bytes into that range."""
DIRECTION = f"""{BLUR}
    length = ReduceL2 (blurred, last)
    positive_length = Max (length, least)
    direction = Div (blurred, positive_length)
"""
"""Blurred ink of length 1; paper without ink stays zero, as far as can be."""
ANGLE = f"""{DIRECTION}
    reduced = MatMul (direction, components)
    cosines = MatMul (reduced, prototypes)
    cosine = ReduceMax <keepdims = 0> (cosines, last)
    sine = Sub (one, cosine)
    distance = Relu (sine)
"""
"""1 less the cosine of the nearest prototype: strength of ink and size of the pen count for little.

components: (784, K), orthonormal. prototypes: (K, M), reduced by them.
"""
EUCLIDEAN = f"""{BLUR}
    reduced = MatMul (blurred, components)
    apart = Gemm <alpha = -2.0> (reduced, prototypes, lengths)
    least_apart = ReduceMin <keepdims = 0> (apart, last)
    own = ReduceSumSquare <keepdims = 0> (blurred, last)
    squared = Add (own, least_apart)
    positive = Relu (squared)
    root = Sqrt (positive)
    distance = Div (root, longest)
"""
"""Euclidean distance from the nearest prototype, as a share of the longest.

What the components leave out of the picture counts; what they leave out of prototypes is little. lengths: (M,) of
prototypes, squared.
"""
SUBSPACE = f"""{DIRECTION}
    reduced = MatMul (direction, components)
    by_digit = Reshape (reduced, digits)
    explained = ReduceSumSquare <keepdims = 0> (by_digit, last)
    most = ReduceMax <keepdims = 0> (explained, second)
    rest = Sub (one, most)
    distance = Relu (rest)
"""
"""The share of a picture that no digit's components explain.

components: (784, 10 K), orthonormal for each digit (Watanabe's subspace method, CLAFIC).
"""


def graph(nodes: str, weights: Mapping[str, np.ndarray], output: str = "float[batch] distance") -> onnx.ModelProto:
    """A graph from images (B, 28, 28) uint8, by default to distances (B,), 0 to 1. weights: those that nodes name."""
    places = np.arange(SIZE)
    apart = np.abs(places[:, None] - places)
    known: dict[str, np.ndarray] = {
        "blur": ((apart == 0) * KERNEL[1] + (apart == 1) * KERNEL[0]).astype(np.float32) / np.float32(255**0.5),
        "flat": np.array([-1, SIZE * SIZE]),
        "last": np.array([-1]),
        "least": np.array(1e-6, np.float32),
        "one": np.array(1, np.float32),
        "longest": np.array(LONGEST, np.float32),
        "second": np.array([1]),
        **weights,
    }
    model: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: {IR_VERSION}, opset_import: ["": {OPSET}]> '
        f"distance (uint8[batch, {SIZE}, {SIZE}] images) => ({output}) {{{nodes}}}"
    )
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in known.items() if name in used
    )
    onnx.checker.check_model(model)
    return model


def blurred_ink(images: np.ndarray) -> Tensor:
    """Images (N, 28, 28) uint8 as (N, 784), as the detectors see them."""
    return torch.from_numpy(computed(graph(BLUR, {}, f"float[batch, {SIZE * SIZE}] blurred"), images))


def directions(values: Tensor) -> Tensor:
    """Values (N, 784) of length 1; zeros stay zero, as far as can be."""
    found: Tensor = values / values.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return found


def nearest(prototypes: Tensor, components: Tensor, sizes: Sequence[int], angle: bool) -> list[onnx.ModelProto]:
    """A graph for each of `sizes`. prototypes: (M, 784), blurred. components: as `principal`."""
    values = directions(prototypes) if angle else prototypes
    found = []
    for size in sizes:
        kept = components[:, -size:]
        reduced = values @ kept
        weights = {"components": kept, "prototypes": reduced.T}
        if not angle:
            weights["lengths"] = (reduced**2).sum(dim=1)
        found.append(graph(ANGLE if angle else EUCLIDEAN, {name: each.numpy() for name, each in weights.items()}))
    return found


def subspaces(
    prototypes: Tensor, labels: np.ndarray, components: Tensor, sizes: Sequence[int]
) -> list[onnx.ModelProto]:
    """A graph for each of `sizes`. prototypes: as `nearest`, with their labels (M,). components: as `principal`.

    A digit's own components are sought among SHARED of all digits': ten decompositions of 784 x 784 took longer than
    all else.
    """
    shared = components[:, -max(SHARED, *sizes) :]
    reduced = directions(prototypes) @ shared
    parts = torch.stack([shared @ principal(reduced[labels == digit]) for digit in range(DIGITS)], dim=1)
    return [
        graph(
            SUBSPACE,
            {"components": parts[:, :, -size:].flatten(1).numpy(), "digits": np.array([-1, DIGITS, size])},
        )
        for size in sizes
    ]


def principal(values: Tensor) -> Tensor:
    """(K, K): components of values (N, K), the first one last. Not centred: products with pictures are wanted."""
    found: Tensor = torch.linalg.eigh((values.T @ values).double())[1].float()
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """The last digits of LAPACK's and of sums depend on how many there are, and a bundle's digest must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def computed(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """What a graph makes of images (N, 28, 28) uint8, some at a time. By one thread, as all else."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = np.empty((len(images), *session.get_outputs()[0].shape[1:]), np.float32)
    for first in range(0, len(images), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        found[part] = session.run(None, {"images": np.ascontiguousarray(images[part])})[0]
    return found

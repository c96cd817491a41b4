"""The network as one ONNX graph with an explicit cache: whole prompts, stretches of them, and single tokens.

The base's 4-bit weights are kept as they are, all others as floats: W = d (q - 8) + (m + 8 d), with a scale d and an
offset m for each block of 32 inputs. The first term is onnxruntime's MatMulNBits; the second needs only the sum of each
block of inputs, and shares a small float product with the adapters: both are (x D) U, where D sums blocks beside the
adapters' A, and U holds m + 8 d beside the adapters' B. A row's input `adapter` is the weight of each style's adapter
in it, 1 for one and 0 for the others: zeros alone give the base exactly. Attention is GroupQueryAttention, which writes
keys and values in place where past and present are one buffer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from components.datasets.styles.reader import STYLES
from components.labs.chat.training.network import Adapters, Network, products
from components.labs.chat.training.quantised_matrices import BLOCK, Matrix, Quantised, floats

OPSET = 23
CONTRIB = "com.microsoft"
EXACT, ROUNDED = 1, 4
"""Accuracy levels of MatMulNBits: inputs are floats, or are rounded to 8 bits."""
Floats = NDArray[np.float32]


def build(network: Network, context: int, rounded: bool) -> onnx.ModelProto:
    """Inputs, for B rows of T tokens: ids (B, T) int64; adapter (B, styles) float32, 0 or 1; take (N,) int64, tokens
    (of B T) whose logits are wanted; last (B,) int32, the position of each row's last token; total (1,) int32, the
    largest of them and 1; past_key_<layer> and past_value_<layer> (B, kv_heads, context, head_size).
    Outputs: logits (N, vocabulary), present_key_<layer> and present_value_<layer>.

    T above 1 needs B = 1. context: tokens that the cache holds. rounded: products with 4-bit and 8-bit weights round
    their inputs to 8 bits.
    """
    return _Builder(network, context, rounded).model()


class _Builder:
    def __init__(self, network: Network, context: int, rounded: bool) -> None:
        self.network, self.shape = network, network.shape
        self.context, self.rounded = context, rounded
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        shape = self.shape
        cache: list[str | int | None] = ["rows", shape.kv_heads, self.context, shape.head_size]
        layers = range(shape.layers)
        pasts = [f"past_{part}_{layer}" for layer in layers for part in ("key", "value")]
        presents = [name.replace("past", "present") for name in pasts]
        inputs = [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "tokens"]),
            helper.make_tensor_value_info("adapter", TensorProto.FLOAT, ["rows", len(STYLES)]),
            helper.make_tensor_value_info("take", TensorProto.INT64, ["taken"]),
            helper.make_tensor_value_info("last", TensorProto.INT32, ["rows"]),
            helper.make_tensor_value_info("total", TensorProto.INT32, [1]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, cache) for name in pasts),
        ]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["taken", shape.vocabulary])]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, cache) for name in presents]
        self._network()
        graph = helper.make_graph(self.nodes, "chat", inputs, outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=11)

    def _network(self) -> None:
        self._rotations()
        self._constant("token_axis", np.array([1], np.int64))
        self._node("Unsqueeze", ["adapter", "token_axis"], "adapters")
        x = self._embedded()
        blocks = self.network.base.blocks
        y = self._node("RMSNormalization", [x, self._constant("norm_0", blocks[0].attention_norm)], "y0", axis=-1,
                       epsilon=self.shape.epsilon)  # fmt: skip
        for layer, block in enumerate(blocks):
            y = self._linear(layer, "o", self._attention(layer, y))
            x, y = self._add_norm(f"middle_{layer}", x, y, block.feed_forward_norm)
            gate, up = self._split(layer, self._linear(layer, "gate_up", y))
            gated = self._node("Mul", [self._silu(layer, gate), up], f"gated_{layer}")
            y = self._linear(layer, "down", gated)
            after = blocks[layer + 1].attention_norm if layer + 1 < len(blocks) else self.network.base.norm
            x, y = self._add_norm(f"after_{layer}", x, y, after)
        flat = self._node(
            "Reshape", [y, self._constant("flat", np.array([-1, self.shape.size], np.int64))], "flattened"
        )
        self._logits(self._node("Gather", [flat, "take"], "taken_rows", axis=0))

    def _rotations(self) -> None:
        angles = np.arange(self.context)[:, None] * self.shape.rope_base ** -(
            np.arange(0, self.shape.head_size, 2) / self.shape.head_size
        )
        self._constant("cos", np.cos(angles).astype(np.float32))
        self._constant("sin", np.sin(angles).astype(np.float32))

    def _attention(self, layer: int, y: str) -> str:
        qkv = self._linear(layer, "q_k_v", y)
        past = [f"past_key_{layer}", f"past_value_{layer}"]
        self._node(
            "GroupQueryAttention",
            [qkv, "", "", *past, "last", "total", "cos", "sin"],
            f"attention_{layer}",
            outputs=[f"present_key_{layer}", f"present_value_{layer}"],
            domain=CONTRIB,
            num_heads=self.shape.heads,
            kv_num_heads=self.shape.kv_heads,
            do_rotary=1,
            rotary_interleaved=0,
        )
        return f"attention_{layer}"

    def _add_norm(self, name: str, x: str, y: str, weight: Floats) -> tuple[str, str]:
        """x + y, and its norm."""
        weights = self._constant(f"{name}_norm", weight)
        self._node(
            "SkipSimplifiedLayerNormalization",
            [x, y, weights],
            f"{name}_y",
            outputs=["", "", f"{name}_x"],
            domain=CONTRIB,
            epsilon=self.shape.epsilon,
        )
        return f"{name}_x", f"{name}_y"

    def _silu(self, layer: int, gate: str) -> str:
        return self._node("Mul", [gate, self._node("Sigmoid", [gate], f"sigmoid_{layer}")], f"silu_{layer}")

    def _split(self, layer: int, both: str) -> tuple[str, str]:
        self._constant("halves", np.array([self.shape.inner] * 2, np.int64))
        self._node("Split", [both, "halves"], f"gate_{layer}", outputs=[f"up_{layer}"], axis=-1)
        return f"gate_{layer}", f"up_{layer}"

    def _linear(self, layer: int, product: str, x: str) -> str:
        """Linears of one input, one after another on the last axis, with their adapters."""
        label = f"{product}_{layer}"
        matrix = products(self.network.base.blocks[layer])[product]
        main, offsets = self._product(label, x, matrix)
        adapters: Adapters = self.network.adapters[layer][product]  # type: ignore[index]
        down, up = branch(adapters, self.network.scale, offsets, matrix.shape[1])
        inner = self._node("MatMul", [x, self._constant(f"{label}_down", down)], f"{label}_inner")
        always = 0 if offsets is None else offsets.shape[1]
        inner = self._node("Mul", [inner, self._switch(always)], f"{label}_switched")
        side = self._node("MatMul", [inner, self._constant(f"{label}_up", up)], f"{label}_side")
        return self._node("Add", [main, side], f"{label}_sum")

    def _product(self, label: str, x: str, matrix: Matrix) -> tuple[str, Floats | None]:
        """x W, less what is left of each block's offset (outputs, blocks); None where nothing is."""
        if isinstance(matrix, Quantised) and matrix.offset is not None:
            self._codes_product(f"{label}_main", x, self._constant(f"{label}_codes", nibbles(matrix.codes)), matrix, 4)
            return f"{label}_main", matrix.offset + 8 * matrix.scale
        weights = self._constant(f"{label}_weights", np.ascontiguousarray(floats(matrix).T))
        return self._node("MatMul", [x, weights], f"{label}_main"), None

    def _codes_product(self, name: str, x: str, codes: str, matrix: Quantised, bits: int) -> str:
        scale = self._constant(f"{codes}_scale", matrix.scale)
        return self._node("MatMulNBits", [x, codes, scale], name, domain=CONTRIB, K=matrix.shape[1], N=matrix.shape[0],
                          bits=bits, block_size=BLOCK, accuracy_level=ROUNDED if self.rounded else EXACT)  # fmt: skip

    def _switch(self, always: int) -> str:
        """(B, 1, always + styles * r): 1 for the sums of blocks, then each row's `adapter`."""
        name = f"switch_{always}"
        if f"{name}_on" not in self.constants:
            each = np.repeat(np.eye(len(STYLES)), self.network.rank, axis=1)
            place = np.concatenate([np.zeros((len(STYLES), always)), each], axis=1).astype(np.float32)
            on = np.concatenate([np.ones(always), np.zeros(each.shape[1])]).astype(np.float32)
            product = self._node("MatMul", ["adapters", self._constant(f"{name}_place", place)], f"{name}_product")
            self._node("Add", [product, self._constant(f"{name}_on", on)], name)
        return name

    def _embedded(self) -> str:
        """The embedding of ids. It is the output's matrix too, and is kept once."""
        codes = self._embedding_codes()
        if codes is None:
            return self._node("Gather", [self._embedding(), "ids"], "x0", axis=0)
        name, matrix = codes
        numbers = self._node("Cast", [self._node("Gather", [name, "ids"], "x_codes", axis=0)], "x_numbers",
                             to=TensorProto.FLOAT)  # fmt: skip
        centred = self._node("Sub", [numbers, self._constant("code_zero", np.array(128, np.float32))], "x_centred")
        scales = self._node("Gather", [self._constant(f"{name}_scale", matrix.scale), "ids"], "x_scale", axis=0)
        scales = self._node("Unsqueeze", [scales, self._constant("last_axis", np.array([-1], np.int64))], "x_scales")
        scaled = self._node("Mul", [centred, scales], "x_scaled")
        return self._node(
            "Reshape", [scaled, self._constant("x_shape", np.array([0, 0, self.shape.size], np.int64))], "x0"
        )

    def _logits(self, x: str) -> None:
        codes = self._embedding_codes()
        if codes is None:
            self._node("Gemm", [x, self._embedding()], "logits", transB=1)
        else:
            self._codes_product("logits", x, *codes, 8)

    def _embedding(self) -> str:
        return self._constant("embedding", floats(self.network.base.embedding))

    def _embedding_codes(self) -> tuple[str, Quantised] | None:
        """The embedding's 8-bit codes, where the base has them and they pay: MatMulNBits multiplies them one by one
        unless it may round what they are multiplied with, and then takes 25 times as long on a CPU with AVX2."""
        matrix = self.network.base.embedding
        if not self.rounded or not isinstance(matrix, Quantised) or matrix.offset is not None:
            return None
        codes = (matrix.codes.astype(np.int16) + 128).astype(np.uint8)
        return self._constant("embedding_codes", codes), matrix

    def _constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def _node(
        self,
        kind: str,
        inputs: list[str],
        output: str,
        outputs: Sequence[str] = (),
        domain: str = "",
        **options: object,
    ) -> str:
        self.nodes.append(
            helper.make_node(kind, inputs, [output, *outputs], name=output, domain=domain, **options)  # type: ignore[arg-type]
        )
        return output


def branch(adapters: Adapters, scale: float, offsets: Floats | None, inputs: int) -> tuple[Floats, Floats]:
    """D (inputs, n) and U (n, outputs): the sums of blocks and what they count, then the adapters."""
    a, b = (part.detach().cpu().float().numpy() for part in (adapters.a, adapters.b))
    if offsets is None:
        return a.T, np.float32(scale) * b.T
    sums = np.repeat(np.eye(inputs // BLOCK, dtype=np.float32), BLOCK, axis=0)
    return np.concatenate([sums, a.T], axis=1), np.concatenate([offsets.T, np.float32(scale) * b.T])


def nibbles(codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """(rows, blocks, 32) codes of 4 bits as (rows, blocks, 16) bytes, the earlier of two in the low half."""
    values = codes.view(np.uint8)
    return np.asarray(values[..., 0::2] | (values[..., 1::2] << 4), np.uint8)

"""What an ONNX file may hold: ONNX's operators, a few of onnxruntime's by name, and tensors inside the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import BundleError

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message

STANDARD = ("", "ai.onnx")
"""Domain of ONNX's own operators; any other is somebody's library, or onnxruntime's."""
CONTRIB = "com.microsoft"
"""Domain of onnxruntime's own operators. Some load a file that the graph names, so each is allowed by name."""
ALLOWED = ("GroupQueryAttention", "MatMulIntegerToFloat", "MatMulNBits", "SkipSimplifiedLayerNormalization")
"""Those that labs export; they compute with their inputs and nothing else."""


def parse(path: Path) -> onnx.ModelProto:
    """The model in a file. Raises BundleError for a file that holds none."""
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise BundleError(f"{path} is not an ONNX model: {' '.join(str(error).split())}") from None
    return model


def scan(model: onnx.ModelProto, path: Path) -> None:
    """Refuses what can reach beyond the file, wherever it hides: subgraphs, functions, attributes, sparse tensors.

    Raises BundleError.
    """
    import onnx

    for message in messages(model):
        if isinstance(message, onnx.TensorProto):
            if message.data_location == onnx.TensorProto.EXTERNAL or message.external_data:
                raise BundleError(f"{path}: tensor '{message.name}' keeps its data in another file")
        elif isinstance(message, onnx.NodeProto):
            if message.domain not in STANDARD and (message.domain != CONTRIB or message.op_type not in ALLOWED):
                operator = f"{message.domain}.{message.op_type}".lstrip(".")
                raise BundleError(f"{path}: node '{message.name}' is the foreign operator {operator}")
        elif isinstance(message, onnx.FunctionProto) and message.domain not in STANDARD:
            raise BundleError(f"{path}: function '{message.name}' is of the foreign domain {message.domain}")


def messages(message: Message) -> Iterator[Message]:
    """A protobuf message and every message inside it, by its description rather than by a list of known places."""
    yield message
    for field_, value in message.ListFields():
        if field_.message_type is not None:
            for inner in value if field_.is_repeated else (value,):
                yield from messages(inner)

"""The bundle: a model as ONNX graphs and what is said of them. Whoever reads one checks it first; no torch here."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer, StringConstraints, ValidationError

from components.errors import UserError
from components.files import Sha256, read_json, sha256_file, write_json
from components.onnx.cpu import sums_bytes_exactly
from components.provenance import Provenance
from components.settings import settings

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    from google.protobuf.message import Message

MANIFEST = "bundle.json"
DOMAINS = ("", "ai.onnx", "com.microsoft")
"""Operators that onnxruntime itself holds; any other domain is somebody's library."""
FILE_READERS = ("EPContext",)
"""Operators of these domains that load a file named inside the graph."""
NO_MEANING = ("doc_string", "metadata_props", "producer_name", "producer_version")
"""Fields that change nothing a graph computes. The exporter writes paths of source files into them."""

PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
"""onnxruntime's names, the preferred first. What a GPU cannot run it leaves to the CPU."""

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


Measured = Annotated[float, PlainSerializer(_number, when_used="json")]
"""JSON has no NaN, and one that was measured must not get lost: it is written as a string."""


class BundleError(UserError):
    """A bundle that must not be used: the message names the file and the fault."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(Record):
    """An input or output. shape: a number, or the name of a dimension that may vary ("" when it has none)."""

    dtype: str
    shape: tuple[int | str, ...]


class Graph(Record):
    """An ONNX file. It is written without `NO_MEANING`, so that equal models have equal files, and one hash."""

    file: FileName
    sha256: Sha256
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class Manifest(Record):
    """bundle.json. `digest` names the model: graphs and spec, not where they come from. `checksum` covers all of it."""

    schema_version: Literal[1]
    lab: str
    graphs: dict[str, Graph]
    spec: dict[str, Any]
    files: dict[FileName, Sha256]
    """Reports beside the graphs, such as parity.json."""
    provenance: Provenance
    digest: Sha256
    checksum: Sha256


@dataclass(frozen=True)
class BundleSpec:
    """What a lab exported: its ONNX files by name, and what its runtime must know to use them (JSON-able)."""

    graphs: dict[str, Path]
    spec: dict[str, Any] = field(default_factory=dict)


class Evaluation(Record):
    """What a lab measured on a bundle.

    metrics: by the names that gates use.  counts: over how many items each was measured.
    variants: metrics of each graph.  serve: what evaluation chose for serving, such as the graph or a threshold.
    weaknesses: sentences, with the measured values that say so, for those who use the model.
    """

    metrics: dict[str, Measured]
    counts: dict[str, int] = {}
    variants: dict[str, dict[str, Measured]] = {}
    serve: dict[str, Any] = {}
    weaknesses: tuple[str, ...] = ()


class EvaluationReport(Evaluation):
    """evaluation.json: an evaluation, and of which model it speaks.

    instruments: digests of the other labs' models that it was measured with.
    """

    lab: str
    model_digest: Sha256
    provenance: Provenance
    instruments: dict[str, Sha256] = {}

    @classmethod
    def of(
        cls, bundle: Bundle, evaluation: Evaluation, instruments: Mapping[str, Bundle] | None = None
    ) -> EvaluationReport:
        manifest = bundle.manifest
        return cls(
            lab=manifest.lab,
            model_digest=manifest.digest,
            provenance=manifest.provenance,
            instruments={lab: instrument.digest for lab, instrument in (instruments or {}).items()},
            **evaluation.model_dump(),
        )


class Bundle:
    """A verified bundle folder."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def spec(self) -> dict[str, Any]:
        return self.manifest.spec

    @classmethod
    def open(cls, folder: Path, lab: str | None = None) -> Bundle:
        """Checks everything in a folder before onnxruntime may see any of it. Raises BundleError.

        lab: whose bundle it must be.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise BundleError(f"{folder} is not a folder: a bundle is what `python -m components export <lab>` writes")
        for path in folder.rglob("*"):
            if path.is_symlink():
                raise BundleError(f"{path} is a link: a bundle holds plain files only")
        manifest = _read_manifest(folder / MANIFEST)
        if lab not in (None, manifest.lab):
            raise BundleError(f"{folder} is a bundle of the lab {manifest.lab}, not of {lab}")
        listed = {graph.file for graph in manifest.graphs.values()}
        for path in folder.rglob("*"):
            if path.suffix.lower() == ".onnx" and str(path.relative_to(folder)) not in listed:
                raise BundleError(f"{path} is not listed in {MANIFEST}: remove it")
        for name, sha256 in manifest.files.items():
            _check_hash(folder / name, sha256)
        for graph in manifest.graphs.values():
            _check_hash(folder / graph.file, graph.sha256)
            _scan(_parse(folder / graph.file), folder / graph.file)
        return cls(folder, manifest)

    def session(self, graph: str, threads: int = 1, inner: Sequence[str] = ()) -> onnxruntime.InferenceSession:
        """A session of a graph on `threads` CPU threads, or on the GPU, as ONNX_DEVICE says.

        inner: values inside the graph that the session gives out too, after the graph's own outputs.
        It is made from bytes that are checked once more. Raises UserError where there is no such graph or device.
        """
        import onnxruntime

        if graph not in self.manifest.graphs:
            raise BundleError(f"{self.folder} has no graph '{graph}'; it has {', '.join(sorted(self.manifest.graphs))}")
        entry = self.manifest.graphs[graph]
        content = (self.folder / entry.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise BundleError(f"{self.folder / entry.file} changed after it was verified")
        if inner:
            content = _with_outputs(content, inner)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if not sums_bytes_exactly():  # the other kernels are exact, and take 2.4 times as long where both are
            options.add_session_config_entry("session.x64quantprecision", "1")
        providers = PROVIDERS[settings().onnx_device]
        session = onnxruntime.InferenceSession(content, options, providers=providers)
        if session.get_providers()[0] != providers[0]:  # onnxruntime falls back with no more than a line in its log
            raise UserError(f"ONNX_DEVICE asks for a GPU, and onnxruntime has no {providers[0]} that works here")
        return session


@dataclass(frozen=True)
class Judged:
    """A bundle with its evaluation, whose `serve` says how it is used: an audit judges both together."""

    bundle: Bundle
    evaluation: EvaluationReport


def write_bundle(folder: Path, lab: str, spec: BundleSpec, provenance: Provenance) -> Manifest:
    """Makes a bundle of the graphs and reports that lie in `folder`: strips the graphs, writes bundle.json, verifies.

    Raises BundleError when a graph is one that `Bundle.open` would refuse.
    """
    folder = Path(folder)
    graphs = {name: _write_graph(folder / path.name) for name, path in sorted(spec.graphs.items())}
    of_graphs = {graph.file for graph in graphs.values()}
    reports = [path for path in folder.iterdir() if path.is_file() and path.name not in (MANIFEST, *of_graphs)]
    content: dict[str, Any] = {
        "schema_version": 1,
        "lab": lab,
        "graphs": {name: graph.model_dump(mode="json") for name, graph in graphs.items()},
        "spec": spec.spec,
        "files": {path.name: sha256_file(path) for path in reports},
        "provenance": provenance.model_dump(),
    }
    content["digest"] = _digest(content)
    content["checksum"] = _hash(content)
    write_json(folder / MANIFEST, content)
    return Bundle.open(folder).manifest


def _read_manifest(path: Path) -> Manifest:
    try:
        content = read_json(path)
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole"
        raise BundleError(f"{path}: {key}: {first['msg']}") from None
    except (UserError, OSError) as error:
        raise BundleError(f"{path} can't be read as a bundle: {error}") from None
    rest = {key: value for key, value in content.items() if key != "checksum"}
    if _hash(rest) != manifest.checksum or _digest(content) != manifest.digest:
        raise BundleError(f"{path} was changed after it was written: its checksum is another")
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    return _hash({key: manifest[key] for key in ("schema_version", "lab", "graphs", "spec")})


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check_hash(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing, and {MANIFEST} lists it")
    actual = sha256_file(path)
    if actual != expected:
        raise BundleError(f"{path} has sha256 {actual}, and {MANIFEST} says {expected}")


def _write_graph(path: Path) -> Graph:
    model = _parse(path)
    _scan(model, path)
    for message in _messages(model):
        for name in NO_MEANING:
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)
    content = model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    constants = {tensor.name for tensor in model.graph.initializer}
    return Graph(
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs={value.name: _tensor_spec(value) for value in model.graph.input if value.name not in constants},
        outputs={value.name: _tensor_spec(value) for value in model.graph.output},
    )


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    shape = (size.dim_value if size.HasField("dim_value") else size.dim_param for size in tensor.shape.dim)
    return TensorSpec(dtype=onnx.TensorProto.DataType.Name(tensor.elem_type).lower(), shape=tuple(shape))


def _with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    import onnx

    model = onnx.load_from_string(content)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    written: bytes = model.SerializeToString()
    return written


def _parse(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise BundleError(f"{path} is not an ONNX model: {' '.join(str(error).split())}") from None
    return model


def _scan(model: onnx.ModelProto, path: Path) -> None:
    """Refuses what can reach beyond the file, wherever it hides: subgraphs, functions, attributes, sparse tensors."""
    import onnx

    for message in _messages(model):
        if isinstance(message, onnx.TensorProto):
            if message.data_location == onnx.TensorProto.EXTERNAL or message.external_data:
                raise BundleError(f"{path}: tensor '{message.name}' keeps its data in another file")
        elif isinstance(message, onnx.NodeProto):
            if message.domain not in DOMAINS or message.op_type in FILE_READERS:
                operator = f"{message.domain}.{message.op_type}".lstrip(".")
                raise BundleError(f"{path}: node '{message.name}' is the foreign operator {operator}")
        elif isinstance(message, onnx.FunctionProto) and message.domain not in DOMAINS:
            raise BundleError(f"{path}: function '{message.name}' is of the foreign domain {message.domain}")


def _messages(message: Message) -> Iterator[Message]:
    """A protobuf message and every message inside it, by its description rather than by a list of known places."""
    yield message
    for field_, value in message.ListFields():
        if field_.message_type is not None:
            for inner in value if field_.is_repeated else (value,):
                yield from _messages(inner)

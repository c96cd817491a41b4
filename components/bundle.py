"""The bundle: a model as ONNX graphs and what is said of them. Whoever reads one checks it first; no torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from components.errors import BundleError, UserError, shown
from components.files import Sha256, read_json, sha256_file, write_json
from components.onnx.cpu import sums_bytes_exactly
from components.onnx.verification import messages, parse, scan
from components.records import Evaluation, EvaluationReport, FileName, Provenance, Record
from components.settings import settings

if TYPE_CHECKING:
    import onnx
    import onnxruntime

MANIFEST = "bundle.json"
SCHEMA_VERSION = 2
"""The version of bundle.json and of the records that go with it."""
NO_MEANING = ("doc_string", "metadata_props", "producer_name", "producer_version")
"""Fields that change nothing a graph computes. The exporter writes paths of source files into them."""

PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
"""onnxruntime's names, the preferred first. What a GPU cannot run it leaves to the CPU."""


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

    schema_version: Literal[2]
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

    def report(self, evaluation: Evaluation, reference_models: Mapping[str, Bundle] | None = None) -> EvaluationReport:
        """An evaluation of this bundle. reference_models: other labs' bundles that it was measured with."""
        return EvaluationReport(
            lab=self.manifest.lab,
            model_digest=self.digest,
            provenance=self.manifest.provenance,
            reference_models={lab: model.digest for lab, model in (reference_models or {}).items()},
            **evaluation.model_dump(),
        )

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
            scan(parse(folder / graph.file), folder / graph.file)
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
class Candidate:
    """A bundle with its evaluation, whose `serve` says how it is used: an audit looks at both together."""

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
        "schema_version": SCHEMA_VERSION,
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
        if key == "schema_version" and isinstance(first["input"], int) and first["input"] < SCHEMA_VERSION:
            raise BundleError(f"{path} was exported by an older version of this code: export the model again") from None
        raise BundleError(f"{path}: {shown(key)}: {first['msg']}") from None
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
    model = parse(path)
    scan(model, path)
    for message in messages(model):
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

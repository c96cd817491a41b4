"""A bundle is read only when every byte of it is what was written, and nothing in it reaches outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from components.bundle import Bundle, BundleSpec, write_bundle
from components.errors import BundleError, UserError
from components.files import sha256_file
from components.onnx.verification import parse, scan
from components.settings import Settings
from tests.components import bundles

FLOAT = TensorProto.FLOAT


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("written") / "bundle").folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "bundle")


def test_a_bundle_that_was_written_can_be_opened_and_run(folder: Path) -> None:
    bundle = Bundle.open(folder)
    result = bundle.session("step").run(None, {"x": np.ones((4, 3), np.float32)})
    assert np.array_equal(result[0], np.full((4, 3), 2.0))
    step = bundle.manifest.graphs["step"]
    assert (step.inputs["x"].dtype, step.inputs["x"].shape) == ("float", ("batch", 3))
    assert list(step.outputs) == ["y"]
    assert bundle.spec == {"vocabulary": "ab"}


def test_a_value_inside_a_graph_can_be_read(tmp_path: Path) -> None:
    twice = (helper.make_node("Mul", ["x", "w"], ["inner"]), helper.make_node("Mul", ["inner", "w"], ["y"]))
    bundle = bundles.write(tmp_path / "bundle", bundles.model(bundles.graph(*twice)))
    found = bundle.session("step", inner=("inner",)).run(["y", "inner"], {"x": np.ones((2, 3), np.float32)})
    assert [array[0].tolist() for array in found] == [[4.0] * 3, [2.0] * 3]


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="a GPU is here")
def test_a_gpu_that_is_asked_for_and_is_not_there_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.bundle.settings", lambda: Settings(onnx_device="cuda"))
    with pytest.raises(UserError, match="no CUDAExecutionProvider that works here"):
        Bundle.open(folder).session("step")


def test_the_same_model_from_two_folders_has_one_digest_and_no_source_path(tmp_path: Path) -> None:
    digests = []
    for place in ("first", "second"):
        content = bundles.model(bundles.graph(helper.make_node("Mul", ["x", "w"], ["y"], doc_string=f"/{place}/a.py")))
        content.producer_version = place
        content.graph.node[0].metadata_props.add(key="stack_trace", value=f"/home/{place}/model.py")
        content.graph.input[0].doc_string = place
        bundle = bundles.write(tmp_path / place, content)
        assert place.encode() not in (bundle.folder / "step.onnx").read_bytes()
        digests.append(bundle.digest)
    assert digests[0] == digests[1]


def test_the_digest_is_of_the_model_and_its_spec_and_not_of_where_it_comes_from(tmp_path: Path) -> None:
    digest = bundles.write(tmp_path / "a").digest
    elsewhere = bundles.PROVENANCE.model_copy(update={"git_commit": "f" * 40, "git_dirty": True})
    assert bundles.write(tmp_path / "b", provenance=elsewhere).digest == digest
    assert bundles.write(tmp_path / "c", weight=2.1).digest != digest
    folder = tmp_path / "a"
    other_spec = write_bundle(folder, "music", BundleSpec({"step": folder / "step.onnx"}, {"k": 1}), bundles.PROVENANCE)
    assert other_spec.digest != digest


@settings(max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused_or_changes_no_meaning(written: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["bundle.json", "step.onnx", "parity.json"]))
    original = (written / name).read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = bytearray(original)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    (written / name).write_bytes(bytes(flipped))
    try:
        if name == "bundle.json" and _same_json(original, bytes(flipped)):
            Bundle.open(written)
        else:
            with pytest.raises(BundleError, match=r"json|onnx") as raised:
                Bundle.open(written)
            assert "\n" not in str(raised.value)
    finally:
        (written / name).write_bytes(original)


def _same_json(first: bytes, second: bytes) -> bool:
    try:
        return bool(json.loads(first) == json.loads(second))
    except ValueError:
        return False


def _add_onnx(folder: Path) -> None:
    (folder / "sub").mkdir()
    shutil.copy(folder / "step.onnx", folder / "sub" / "step.ONNX")


def _link(folder: Path) -> None:
    (folder / "step.onnx").rename(folder / "real")
    (folder / "step.onnx").symlink_to("real")


def _manifest(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "bundle.json").read_text())
        change(content)
        (folder / "bundle.json").write_text(json.dumps(content))

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing graph": (lambda folder: (folder / "step.onnx").unlink(), r"step\.onnx is missing"),
    "missing report": (lambda folder: (folder / "parity.json").unlink(), r"parity\.json is missing"),
    "missing manifest": (lambda folder: (folder / "bundle.json").unlink(), r"bundle\.json is missing"),
    "unlisted graph": (_add_onnx, r"step\.ONNX is not listed"),
    "link": (_link, r"step\.onnx is a link"),
    "broken JSON": (lambda folder: (folder / "bundle.json").write_text("{"), r"bundle\.json.*not JSON"),
    "binary": (lambda folder: (folder / "bundle.json").write_bytes(b"\xff\xfe\0"), r"bundle\.json.*not JSON"),
    "nested JSON": (lambda folder: (folder / "bundle.json").write_text("[" * 10_000), r"bundle\.json.*not JSON"),
    "a list": (lambda folder: (folder / "bundle.json").write_text("[]"), r"bundle\.json: the whole"),
    "wrong version": (_manifest(lambda content: content.update(schema_version=3)), "schema_version"),
    "unknown key": (_manifest(lambda content: content.update(extra=1)), "extra"),
    "other spec": (_manifest(lambda content: content.update(spec={})), "changed after it was written"),
    "path outside": (
        _manifest(lambda content: content["graphs"]["step"].update(file="../step.onnx")),  # type: ignore[index]
        "graphs.step.file",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bundle_is_refused_in_one_line_that_names_file_and_fault(folder: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(BundleError, match=message) as raised:
        Bundle.open(folder)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a folder"):
        Bundle.open(tmp_path / "nothing")


def _external(name: str = "secret") -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def _scan(body_node: onnx.NodeProto) -> onnx.ModelProto:
    """The node hidden in the body of a Scan."""
    body = helper.make_graph(
        [body_node],
        "body",
        [helper.make_tensor_value_info("row", FLOAT, [3])],
        [helper.make_tensor_value_info("out", FLOAT, [3])],
    )
    return bundles.model(bundles.graph(helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=1, body=body)))


def _sparse() -> onnx.ModelProto:
    content = bundles.model(bundles.graph())
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = onnx.SparseTensorProto(values=_external(), indices=indices, dims=[3])
    content.graph.sparse_initializer.append(sparse)
    return content


def _initializer(tensor: onnx.TensorProto) -> onnx.ModelProto:
    content = bundles.model(bundles.graph())
    content.graph.initializer.append(tensor)
    return content


def _in_memory() -> onnx.TensorProto:
    """onnxruntime reads such a tensor from an address in its own memory."""
    tensor = _external()
    tensor.external_data[0].value = "*/_ORT_MEM_ADDR_/*"
    return tensor


def _quiet() -> onnx.TensorProto:
    tensor = _external()
    tensor.ClearField("data_location")
    return tensor


def _function(domain: str, node: onnx.NodeProto) -> onnx.ModelProto:
    function = helper.make_function(domain, "f", ["a"], ["b"], [node], [helper.make_opsetid("", 20)])
    return bundles.model(bundles.graph(helper.make_node("f", ["x"], ["y"], domain=domain)), [function])


FOREIGN = helper.make_node("Evil", ["row"], ["out"], domain="evil.ops")

HOSTILE: dict[str, tuple[onnx.ModelProto, str]] = {
    "external initialiser": (_initializer(_external()), "tensor 'secret'"),
    "address in memory": (_initializer(_in_memory()), "tensor 'secret'"),
    "external data without its flag": (_initializer(_quiet()), "tensor 'secret'"),
    "external sparse initialiser": (_sparse(), "tensor 'secret'"),
    "external constant": (
        bundles.model(bundles.graph(helper.make_node("Constant", [], ["y"], value=_external()))),
        "tensor 'secret'",
    ),
    "external constant in a Scan": (_scan(helper.make_node("Constant", [], ["out"], value=_external())), "'secret'"),
    "foreign operator": (
        bundles.model(bundles.graph(helper.make_node("Evil", ["x"], ["y"], domain="evil.ops"))),
        r"evil\.ops\.Evil",
    ),
    "foreign operator in a Scan": (_scan(FOREIGN), r"evil\.ops\.Evil"),
    "operator that reads a file": (
        bundles.model(bundles.graph(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft"))),
        "EPContext",
    ),
    "operator of onnxruntime that no lab exports": (
        bundles.model(bundles.graph(helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft"))),
        "FusedMatMul",
    ),
    "function of a foreign domain": (_function("evil", helper.make_node("Relu", ["a"], ["b"])), "evil"),
    "foreign operator in a function": (_function("", helper.make_node("E", ["a"], ["b"], domain="evil")), r"evil\.E"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_graph_that_reaches_outside_is_refused_before_onnxruntime_sees_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    content, message = HOSTILE[name]
    with pytest.raises(BundleError, match=message):
        bundles.write(tmp_path / "written", content)
    forged = bundles.write(tmp_path / "forged").folder
    _forge(forged, content.SerializeToString())
    with pytest.raises(BundleError, match=message) as raised:
        Bundle.open(forged)
    assert "step.onnx" in str(raised.value)


def test_an_operator_of_onnxruntime_that_labs_export_is_allowed_by_name(tmp_path: Path) -> None:
    """As read from a file, where no name is the very object that it is compared with."""
    node = helper.make_node("MatMulNBits", ["x", "w"], ["y"], domain="com.microsoft", K=3, N=3, bits=4, block_size=16)
    path = tmp_path / "step.onnx"
    path.write_bytes(bundles.model(bundles.graph(node)).SerializeToString())
    scan(parse(path), path)


def _forge(folder: Path, content: bytes) -> None:
    """Puts other bytes in the place of a graph with hashes that agree, as somebody with bad intent would."""
    from components import bundle

    (folder / "step.onnx").write_bytes(content)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["graphs"]["step"]["sha256"] = sha256_file(folder / "step.onnx")
    manifest["digest"] = bundle._digest(manifest)
    manifest["checksum"] = bundle._hash({key: value for key, value in manifest.items() if key != "checksum"})
    (folder / "bundle.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("digest", ["0" * 64, "f" * 64])
def test_a_digest_that_is_another_model_s_is_refused_even_when_the_checksum_agrees(folder: Path, digest: str) -> None:
    from components import bundle

    manifest = json.loads((folder / "bundle.json").read_text()) | {"digest": digest}
    manifest["checksum"] = bundle._hash({key: value for key, value in manifest.items() if key != "checksum"})
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="was changed after it was written"):
        Bundle.open(folder)


def test_bytes_that_are_no_onnx_model_are_refused_even_when_their_hash_agrees(folder: Path) -> None:
    _forge(folder, b"not a protobuf")
    with pytest.raises(BundleError, match=r"step\.onnx is not an ONNX model"):
        Bundle.open(folder)


def test_a_graph_swapped_after_the_check_is_not_loaded(folder: Path) -> None:
    bundle = Bundle.open(folder)
    (folder / "step.onnx").write_bytes(bundles.model(bundles.graph(weight=3.0)).SerializeToString())
    with pytest.raises(BundleError, match="changed after it was verified"):
        bundle.session("step")
    with pytest.raises(BundleError, match="no graph 'stop'; it has step"):
        bundle.session("stop")


def test_reading_a_bundle_loads_neither_torch_nor_mlflow(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from components.bundle import Bundle\n"
        "Bundle.open(Path(sys.argv[1])).session('step')\n"
        "print(*{'torch', 'mlflow', 'pandas', 'onnxscript'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

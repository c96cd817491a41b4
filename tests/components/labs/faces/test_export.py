from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from components.bundle import Bundle
from components.datasets.faces.reader import centre, read_split
from components.errors import UserError
from components.files import read_json
from components.labs.faces.export.bundle import export, scaled
from components.labs.faces.params import Export, Train
from components.labs.faces.runtime.model import FaceModel
from components.labs.faces.training.dbvae import DebiasingVae
from components.labs.faces.training.model import FaceClassifier
from components.stats import roc_auc
from tests.face_data import section
from tests.face_model import bundle_of


@pytest.fixture(scope="module")
def images(prepared_faces: Path) -> np.ndarray:
    return np.ascontiguousarray(centre(read_split(prepared_faces, "audit").images))


@pytest.mark.parametrize("batch", [1, 3, 19, 300])
def test_the_float_graph_computes_what_the_model_does_at_any_batch(
    batch: int, bundle: Bundle, trained: FaceClassifier, images: np.ndarray
) -> None:
    with torch.inference_mode():
        expected = trained(scaled(torch.from_numpy(images[:batch]))).numpy()
    np.testing.assert_allclose(FaceModel.load(bundle, "float").logits(images[:batch]), expected, atol=1e-3)


@pytest.mark.parametrize("sides", [(64, 64), (80, 208), (144, 96)])
def test_the_dense_graph_computes_what_the_model_does_at_any_size(
    sides: tuple[int, int], bundle: Bundle, trained: FaceClassifier, images: np.ndarray
) -> None:
    picture = np.resize(images, (*sides, 3))
    with torch.inference_mode():
        expected = trained.encoder.dense(scaled(torch.from_numpy(picture[None])))[0, 0].numpy()
    found = FaceModel.load(bundle, "float").dense(picture)
    assert found.shape == (sides[0] // 16 - 3, sides[1] // 16 - 3)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_int8_judges_as_float_does(bundle: Bundle, images: np.ndarray, prepared_faces: Path) -> None:
    precise, quick = (FaceModel.load(bundle, variant).logits(images) for variant in ("float", "int8"))
    assert np.corrcoef(precise, quick)[0, 1] > 0.999
    assert ((precise > 0) == (quick > 0)).mean() > 0.98
    is_face = read_split(prepared_faces, "audit").is_face
    areas = [roc_auc(logits[is_face], logits[~is_face]) for logits in (precise, quick)]
    assert abs(areas[0] - areas[1]) < 0.005


@pytest.mark.parametrize("variant", ["float", "int8"])
def test_a_picture_s_logit_does_not_depend_on_its_neighbours(variant: str, bundle: Bundle, images: np.ndarray) -> None:
    model = FaceModel.load(bundle, variant)
    together = model.logits(images[:40])
    alone = np.concatenate([model.logits(images[row : row + 1]) for row in range(40)])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_int8_multiplies_bytes_and_holds_no_batch_norm(bundle: Bundle) -> None:
    graph = onnx.load(bundle.folder / "int8.onnx").graph
    operators = [node.op_type for node in graph.node]
    assert "BatchNormalization" not in operators
    assert "Div" not in operators, "the image's bytes are taken as they are"
    kernels = [tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4]
    assert kernels.count(onnx.TensorProto.INT8) == 4, "all convolutions but the last, which makes the logit"


def test_the_bundle_says_what_it_is(bundle: Bundle, vae_bundle: Bundle) -> None:
    assert bundle.spec == {
        "size": 64,
        "picture_size": 80,
        "model": "standard",
        "variants": ["int8", "float"],
        "held_out": ["dalmatian", "llama", "panda", "pigeon", "wild_cat"],
    }
    assert vae_bundle.spec["latent_dim"] == 12
    assert set(vae_bundle.manifest.graphs) == {"float", "float_dense", "int8", "int8_dense", "encoder"}
    entry = bundle.manifest.graphs["int8"]
    assert entry.inputs["images"].dtype == "uint8"
    assert entry.inputs["images"].shape[1:] == (64, 64, 3)
    assert len(entry.outputs["logits"].shape) == 1


def test_the_encoder_gives_the_latent_means(
    vae_bundle: Bundle, bundle: Bundle, trained_vae: DebiasingVae, images: np.ndarray
) -> None:
    with torch.inference_mode():
        expected = trained_vae.encode(scaled(torch.from_numpy(images[:33]))).means.numpy()
    np.testing.assert_allclose(FaceModel.load(vae_bundle).means(images[:33]), expected, atol=1e-3)
    with pytest.raises(UserError, match="no latent features"):
        FaceModel.load(bundle).means(images[:1])


def test_what_a_dbvae_has_learned_is_drawn(vae_bundle: Bundle) -> None:
    sizes = {}
    for name in ("reconstructions", "traversals", "favoured"):
        with Image.open(vae_bundle.folder / f"{name}.png") as picture:
            sizes[name] = picture.size
            assert np.asarray(picture).std() > 10
    assert sizes == {"reconstructions": (384, 128), "traversals": (576, 384), "favoured": (384, 128)}
    assert "favoured.png" in vae_bundle.manifest.files


def test_the_same_weights_make_the_same_digest(
    bundle: Bundle, trained: FaceClassifier, prepared_faces: Path, tmp_path: Path
) -> None:
    assert bundle_of(trained, prepared_faces, tmp_path).digest == bundle.digest


def test_parity_is_reported_for_every_graph(bundle: Bundle) -> None:
    report = read_json(bundle.folder / "parity.json")
    assert set(report) == set(bundle.manifest.graphs)
    assert max(case["logits"] for case in report["float"] + report["float_dense"]) < 1e-3


def test_a_diverged_model_and_one_that_differs_are_not_exported(
    trained: FaceClassifier, prepared_faces: Path, train_params: Train, tmp_path: Path
) -> None:
    diverged = FaceClassifier(train_params)
    diverged.encoder.outputs.weight.data[0, 0] = float("nan")
    settings = section(Export, "faces", "export", variants=["float"])
    with pytest.raises(UserError, match="training diverged"):
        export(diverged, prepared_faces, tmp_path, settings)
    with pytest.raises(UserError, match="the graph float_dense differs from the model by"):
        export(trained, prepared_faces, tmp_path, settings.model_copy(update={"parity_tolerance": 1e-12}))


def test_wrong_arrays_and_variants_are_refused(bundle: Bundle, images: np.ndarray) -> None:
    model = FaceModel.load(bundle)
    with pytest.raises(ValueError, match=r"images are \(B, 64, 64, 3\) uint8"):
        model.logits(images.astype(np.float32))
    with pytest.raises(ValueError, match="images are"):
        model.logits(images[:, :32])
    with pytest.raises(ValueError, match="at least 64"):
        model.dense(images[0, :32])
    with pytest.raises(UserError, match="no variant 'int4'; it has int8, float"):
        FaceModel.load(bundle, "int4")
    assert model.logits(images[:0]).shape == (0,)

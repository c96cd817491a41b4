from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from components.bundle import Bundle, write_bundle
from components.datasets.music.reader import read_texts
from components.errors import UserError
from components.files import read_json
from components.labs.music.evaluation.likelihood import bits_of, bits_per_char
from components.labs.music.export.bundle import export, fold
from components.labs.music.export.graphs import reading_graph, sampling_graph
from components.labs.music.params import Export, Train
from components.labs.music.runtime.model import TuneModel
from components.labs.music.training.model import MusicModel
from components.records import Provenance
from tests.face_data import section

HERE = Provenance(git_commit="", git_dirty=False, data_version="", data_profile="course", params_hash="", code_hash="")
PARAMS = Export(variants=("int8", "float"), steps_per_call=8, parity_tolerance=1e-4, min_tunes=3)
UNSEEN = [(1, 2), (2, 23), (5, 1), (7, 61), (32, 3)]
"""Batch sizes and lengths that no parity check of the export uses."""


@pytest.fixture(scope="module")
def defaults() -> Train:
    return section(Train, "music", "train")


def model_of(prepared: Path, defaults: Train, layers: int, hidden_size: int = 24, scale: float = 2.0) -> MusicModel:
    """An untrained model; larger weights make its predictions as sharp as a trained one's."""
    torch.manual_seed(layers)
    sizes = {"layers": layers, "hidden_size": hidden_size, "embedding_size": 12}
    sizes |= {"attention_heads": 2, "attention_size": 5, "attention_lag": 8, "attention_window": 30}
    model = MusicModel.create(prepared, defaults.model_copy(update=sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale)
    return model


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_float_graph_computes_the_model_at_batches_and_lengths_it_has_not_seen(
    prepared_music: Path, defaults: Train, layers: int
) -> None:
    model = model_of(prepared_music, defaults, layers)
    weights = fold(model)
    graphs = (build(weights, "float").SerializeToString() for build in (reading_graph, sampling_graph))
    spec = {"vocabulary": read_json(prepared_music / "vocabulary.json"), "steps_per_call": 8, "attention_lag": 8}
    exported = TuneModel(spec, *map(onnxruntime.InferenceSession, graphs))
    for batch, length in UNSEEN:
        ids = torch.randint(0, 83, (batch, length))
        logits, (h, c, keys, _) = model(ids)
        after, log_probs = exported.read(ids.numpy(), exported.initial_state(batch))
        remembered = after.keys[:, :, -length:], keys.transpose(1, 2)[:, :, -after.keys.shape[2] :]
        for found, wanted in ((log_probs, logits.log_softmax(-1)), (after.hidden, h), (after.cell, c), remembered):
            wanted = wanted.transpose(0, 1).flatten(1) if wanted is h or wanted is c else wanted
            np.testing.assert_allclose(found, wanted.detach().numpy(), atol=1e-4)


def test_two_exports_in_one_process_are_both_right(prepared_music: Path, defaults: Train, tmp_path: Path) -> None:
    for layers in (2, 1):
        folder = tmp_path / str(layers)
        folder.mkdir()
        export(model_of(prepared_music, defaults, layers), prepared_music, folder, PARAMS)
        report = read_json(folder / "parity.json")
        assert {tuple(case["shape"]) for case in report["float"]} >= {(1, 1), (33, 5), (2, 300)}
        assert max(case["sampled_state"] for case in report["float"]) < 1e-4
        assert max(case["sampled"] for case in report["float"]) < 1e-4


def test_the_same_model_from_two_folders_has_one_digest(prepared_music: Path, defaults: Train, tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "some/where/else"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        prepared = shutil.copytree(prepared_music, tmp_path / f"{name}-prepared")
        spec = export(model_of(prepared, defaults, layers=2), prepared, folder, PARAMS)
        digests.add(write_bundle(folder, "music", spec, HERE).digest)
    assert len(digests) == 1


def test_a_float_graph_that_differs_from_the_model_is_not_exported(
    prepared_music: Path, defaults: Train, tmp_path: Path
) -> None:
    strict = PARAMS.model_copy(update={"parity_tolerance": 1e-12})
    with pytest.raises(
        UserError, match=r"the graph float differs from the model by .* in its log_probs \(shape \[1, 1\];"
    ):
        export(model_of(prepared_music, defaults, layers=1), prepared_music, tmp_path, strict)


def test_a_model_that_diverged_is_not_exported(prepared_music: Path, defaults: Train, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not numbers: training diverged"):
        export(model_of(prepared_music, defaults, layers=1, scale=float("nan")), prepared_music, tmp_path, PARAMS)


def test_no_product_with_weights_of_the_int8_graphs_is_in_floats(music_bundle: Path) -> None:
    for use in ("read", "sample"):
        step = next(
            attribute.g
            for node in onnx.load(music_bundle / f"int8_{use}.onnx").graph.node
            for attribute in node.attribute
            if node.op_type == "Scan" and attribute.name == "body"
        )
        operators = [node.op_type for node in step.node]
        assert operators.count("MatMulIntegerToFloat") == 3
        assert operators.count("MatMul") == 2, "the attention's own, over one tune's memory: no weights in them"
        assert not {"Gemm", "MatMulNBits", "DynamicQuantizeLinear"} & set(operators)


def test_int8_costs_next_to_nothing_on_a_trained_model(music_bundle: Path, prepared_music: Path) -> None:
    bundle = Bundle.open(music_bundle)
    texts = read_texts(prepared_music, "validation")[:20]
    bits = {name: bits_per_char(bits_of(TuneModel.load(bundle, name), texts, batch=20)) for name in ("int8", "float")}
    assert abs(bits["int8"] - bits["float"]) < 0.02, "0.003 to 0.01, by how the processor rounds in training"
    assert bits["int8"] != bits["float"]

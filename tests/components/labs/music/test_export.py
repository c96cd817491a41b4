from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from components.bundle import Bundle, write_bundle
from components.errors import UserError
from components.files import read_json
from components.labs.music.data import read_tunes
from components.labs.music.export import export, fold
from components.labs.music.graphs import reading_graph
from components.labs.music.likelihood import bits_of, bits_per_char
from components.labs.music.model import MusicModel
from components.labs.music.params import Export, Train
from components.labs.music.runtime import TuneModel
from components.params import load
from components.provenance import Provenance

HERE = Provenance(git_commit="", git_dirty=False, data_version="", data_profile="course", params_hash="", code_hash="")
PARAMS = Export(variants=("int8", "float"), steps_per_call=8, parity_tolerance=1e-4)
UNSEEN = [(1, 2), (2, 23), (5, 1), (7, 61), (32, 3)]
"""Batch sizes and lengths that no parity check of the export uses."""


@pytest.fixture(scope="module")
def defaults() -> Train:
    train: Train = load("music", Path(__file__).parents[4] / "params.yaml").train
    return train


def model_of(prepared: Path, defaults: Train, layers: int, hidden_size: int = 24, scale: float = 2.0) -> MusicModel:
    """An untrained model; larger weights make its predictions as sharp as a trained one's."""
    torch.manual_seed(layers)
    sizes = {"layers": layers, "hidden_size": hidden_size, "embedding_size": 12}
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
    session = onnxruntime.InferenceSession(reading_graph(fold(model), "float").SerializeToString())
    for batch, length in UNSEEN:
        ids = torch.randint(0, 83, (batch, length))
        state = (torch.randn(layers, batch, 24).tanh(), torch.randn(layers, batch, 24))
        logits, after = model(ids, state)
        hidden, cell = (each.transpose(0, 1).reshape(batch, -1).numpy() for each in state)
        found = session.run(None, {"ids": ids.numpy(), "hidden": hidden, "cell": cell})
        wanted = [logits.log_softmax(-1), *(each.transpose(0, 1).reshape(batch, -1) for each in after)]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other.detach().numpy(), atol=1e-4)


def test_a_projection_is_multiplied_into_the_decoder(prepared_music: Path, defaults: Train, tmp_path: Path) -> None:
    model = model_of(prepared_music, defaults, layers=1)
    model.projection = nn.Linear(24, 12)
    model.decoder = nn.Linear(12, 83)
    export(model, prepared_music, tmp_path, PARAMS)  # raises where the graphs and the model differ
    assert all(case["log_probs"] < 1e-4 for case in read_json(tmp_path / "parity.json")["float"])


def test_two_exports_in_one_process_are_both_right(prepared_music: Path, defaults: Train, tmp_path: Path) -> None:
    for layers in (2, 1):
        folder = tmp_path / str(layers)
        folder.mkdir()
        export(model_of(prepared_music, defaults, layers), prepared_music, folder, PARAMS)
        report = read_json(folder / "parity.json")
        assert {(case["batch"], case["length"]) for case in report["float"]} >= {(1, 1), (33, 5)}
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
        UserError, match=r"the float graph differs from the model by .* in log_probs \(batch 1, length 1;"
    ):
        export(model_of(prepared_music, defaults, layers=1), prepared_music, tmp_path, strict)


def test_a_model_that_diverged_is_not_exported(prepared_music: Path, defaults: Train, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not numbers: training diverged"):
        export(model_of(prepared_music, defaults, layers=1, scale=float("nan")), prepared_music, tmp_path, PARAMS)


def test_no_product_of_the_int8_graphs_is_in_floats(music_bundle: Path) -> None:
    for use in ("read", "sample"):
        step = next(
            attribute.g
            for node in onnx.load(music_bundle / f"int8_{use}.onnx").graph.node
            for attribute in node.attribute
            if node.op_type == "Scan" and attribute.name == "body"
        )
        operators = [node.op_type for node in step.node]
        assert operators.count("MatMulIntegerToFloat") == 2
        assert not {"MatMul", "Gemm", "MatMulNBits", "DynamicQuantizeLinear"} & set(operators)


def test_int8_costs_next_to_nothing_on_a_trained_model(music_bundle: Path, prepared_music: Path) -> None:
    bundle = Bundle.open(music_bundle)
    texts = [tune["text"] for tune in read_tunes(prepared_music) if tune["split"] == "validation"][:20]
    bits = {name: bits_per_char(bits_of(TuneModel(bundle, name), texts, batch=20)) for name in ("int8", "float")}
    assert abs(bits["int8"] - bits["float"]) < 0.02
    assert bits["int8"] != bits["float"]

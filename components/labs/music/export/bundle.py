"""Turns a trained model into ONNX graphs for reading and for sampling, and checks that they compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch

from components.bundle import BundleSpec
from components.datasets.music.reader import TUNE_END, read_texts
from components.files import read_json, write_json
from components.labs.music import params
from components.labs.music.export.graphs import reading_graph, sampling_graph
from components.labs.music.export.graphs.weights import HIDDEN_SCALE, Weights
from components.labs.music.runtime.conditioning import Options
from components.labs.music.runtime.model import INT8_ZERO, State, TuneModel
from components.labs.music.runtime.vocabulary import Vocabulary
from components.onnx.parity import Case, check_parity
from components.training.finite import check_finite

if TYPE_CHECKING:
    from components.labs.music.training.model import MusicModel

PARITY_SHAPES = ((1, 1), (1, 40), (3, 17), (8, 64), (33, 5), (2, 300))
"""(batch, length) pairs, the longest beyond the default window of attention; the exporter saw none of them."""


def export(model: MusicModel, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
    """Writes <variant>_read.onnx and <variant>_sample.onnx of each variant, and parity.json, into `out`.

    Raises UserError when a weight is NaN or infinite, or a float graph differs from the model by more than
    `params.parity_tolerance`.
    """
    check_finite(model)
    vocabulary = read_json(prepared / "vocabulary.json")
    weights = fold(model)
    graphs = {}
    for variant in params.variants:
        for use, build in (("read", reading_graph), ("sample", sampling_graph)):
            path = out / f"{variant}_{use}.onnx"
            onnx.save(build(weights, variant), path)
            graphs[path.stem] = path
    forms = model.params.form_share > 0
    options = Options.of_tunes(read_texts(prepared, "train"), params.min_tunes, forms)
    spec = {
        "vocabulary": vocabulary,
        "layers": weights.layers,
        "hidden_size": weights.hidden_size,
        "attention_lag": weights.lag,
        "steps_per_call": params.steps_per_call,
        "variants": list(params.variants),
        "types_by_metre": options.types_by_metre,
        "forms": options.forms,
    }
    ids = Vocabulary(vocabulary).encode(_validation_text(prepared))
    model = model.cpu().float().eval()
    report: dict[str, list[Case]] = {}
    for variant in params.variants:
        paths = (graphs[f"{variant}_read"], graphs[f"{variant}_sample"])
        sessions = (onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in paths)
        report[variant] = parity(model, TuneModel(spec, *sessions), ids)
    check_parity(report, params.parity_tolerance)
    write_json(out / "parity.json", report)
    return BundleSpec(graphs=graphs, spec=spec)


def fold(model: MusicModel) -> Weights:
    """The model's weights in the graphs' layout; products are taken in float64, so that folding loses nothing."""
    with torch.no_grad():
        lstm = {name: value.double() for name, value in model.lstm.named_parameters()}
        bias = [lstm[f"bias_ih_l{layer}"] + lstm[f"bias_hh_l{layer}"] for layer in range(model.lstm.num_layers)]
        table = model.embedding.weight.double() @ lstm["weight_ih_l0"].T + bias[0]
        above = range(1, model.lstm.num_layers)
        products = [lstm["weight_hh_l0"].T]
        products += [torch.cat([lstm[f"weight_ih_l{layer}"], lstm[f"weight_hh_l{layer}"]], dim=1).T for layer in above]
        return Weights(
            table=_gates(table),
            products=[_gates(product) for product in products],
            biases=[_gates(each) for each in bias[1:]],
            decoder=model.decoder.weight.T.float().numpy(),
            decoder_bias=model.decoder.bias.float().numpy(),
            query=(model.attention.query.weight.double().T / model.attention.size**0.5).float().numpy(),
            key=model.attention.key.weight.T.float().numpy(),
            value=model.attention.value.weight.float().numpy(),
            output=model.attention.output.weight.T.float().numpy(),
            lag=model.attention.lag,
            window=model.attention.window,
        )


def _gates(values: torch.Tensor) -> np.ndarray:
    """torch's gate order i, f, g, o along the last axis as i, f, o, g: the three sigmoids side by side."""
    inputs, forget, candidate, output = values.chunk(4, dim=-1)
    return torch.cat([inputs, forget, output, candidate], dim=-1).float().contiguous().numpy()


def parity(model: MusicModel, exported: TuneModel, ids: np.ndarray) -> list[Case]:
    """Largest differences between the model and the graphs in each of PARITY_SHAPES, on real text `ids` (N,)."""
    report = []
    for batch, length in PARITY_SHAPES:
        text = _windows(ids, batch, 2 * length)
        differences = _reading_differences(model, exported, text) | _sampling_differences(model, exported, text)
        report.append({"shape": [batch, length], **differences})
    return report


def _reading_differences(model: MusicModel, exported: TuneModel, ids: np.ndarray) -> dict[str, float]:
    """ids (B, 2T), read in two calls, so that the state handed on counts too."""
    log_probs, expected = _ask(model, ids)
    half = ids.shape[1] // 2
    state, first = exported.read(ids[:, :half], exported.initial_state(len(ids)))
    state, second = exported.read(ids[:, half:], state)
    return {
        "log_probs": float(np.abs(np.concatenate([first, second], axis=1) - log_probs).max()),
        "state": _state_difference(expected, state),
    }


def _sampling_differences(model: MusicModel, exported: TuneModel, ids: np.ndarray) -> dict[str, float]:
    """Samples T characters after each row's first; the model then reads them.

    sampled: how far a uniform lies outside the model's own interval for the character it picked.
    """
    batch, length = ids.shape[0], ids.shape[1] // 2
    uniforms = np.random.default_rng(0).random((batch, length), dtype=np.float32)
    ones, everything = np.ones(batch, np.float32), np.full(batch, len(exported.vocabulary))
    before = exported.initial_state(batch)
    chosen, steps = exported.sample(before, ids[:, 0], uniforms, ones, everything, ones)
    log_probs, expected = _ask(model, np.concatenate([ids[:, :1], chosen[:, :-1]], axis=1))
    upper = np.take_along_axis(np.cumsum(np.exp(log_probs), axis=-1), chosen[..., None], axis=-1)[..., 0]
    lower = upper - np.exp(np.take_along_axis(log_probs, chosen[..., None], axis=-1)[..., 0])
    outside = np.maximum(lower - uniforms, uniforms - upper).max()
    return {"sampled": max(0.0, float(outside)), "sampled_state": _state_difference(expected, steps.after(before))}


def _ask(model: MusicModel, ids: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The model's own log-probabilities (B, T, V) and its state after, laid out as the graphs'."""
    with torch.inference_mode():
        logits, (h, c, keys, _) = model(torch.from_numpy(np.ascontiguousarray(ids)))
    hidden, cell = (each.transpose(0, 1).reshape(len(ids), -1).numpy() for each in (h, c))
    state = {"hidden": hidden, "cell": cell, "keys": keys.transpose(1, 2).numpy()}
    return torch.log_softmax(logits.double(), dim=-1).numpy(), state


def _state_difference(expected: dict[str, np.ndarray], state: State) -> float:
    """As a share of the largest value where that exceeds 1: cells grow through a tune, and so do rounding errors."""
    found = state.named()
    if state.hidden.dtype == np.uint8:
        found["hidden"] = (state.hidden.astype(np.float32) - INT8_ZERO) * HIDDEN_SCALE
    both = min(expected["keys"].shape[2], state.keys.shape[2])  # the graphs forget what is out of the window
    for values in (expected, found):
        values["keys"] = values["keys"][:, :, -both:]
    return max(
        float(np.abs(found[name] - values).max()) / max(1.0, float(np.abs(values).max()))
        for name, values in expected.items()
    )


def _windows(ids: np.ndarray, batch: int, length: int) -> np.ndarray:
    """(batch, length) pieces of a text, evenly spread over it; a short text is repeated."""
    starts = np.linspace(0, len(ids) - 1, batch).astype(int)
    return ids[(starts[:, None] + np.arange(length)) % len(ids)]


def _validation_text(prepared: Path) -> str:
    return TUNE_END.join(read_texts(prepared, "validation"))

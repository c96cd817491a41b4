"""Turns a trained model into ONNX graphs for reading and for sampling, and checks that they compute the same."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from components.bundle import BundleSpec
from components.errors import UserError
from components.files import read_json, write_json
from components.labs.music import params
from components.labs.music.data import read_tunes
from components.labs.music.graphs import HIDDEN_SCALE, HIDDEN_ZERO, Variant, Weights, reading_graph, sampling_graph
from components.labs.music.runtime import TUNE_END, Vocabulary

if TYPE_CHECKING:
    from components.labs.music.model import MusicModel

log = logging.getLogger(__name__)

PARITY_SHAPES = ((1, 1), (1, 40), (3, 17), (8, 64), (33, 5))
"""(batch, length) pairs; nothing in the graphs depends on either, and this proves it."""


def export(model: MusicModel, prepared: Path, out: Path, params: params.Export) -> BundleSpec:
    """Writes <variant>_read.onnx and <variant>_sample.onnx of each variant, and parity.json, into `out`.

    Raises UserError when a weight is NaN or infinite, or a float graph differs from the model by more than
    `params.parity_tolerance`.
    """
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError("the model has weights that are not numbers: training diverged; lower its learning rate")
    vocabulary = read_json(prepared / "vocabulary.json")
    weights = fold(model)
    graphs = {}
    for variant in params.variants:
        for use, build in (("read", reading_graph), ("sample", sampling_graph)):
            path = out / f"{variant}_{use}.onnx"
            onnx.save(build(weights, variant), path)
            graphs[path.stem] = path
    ids = Vocabulary(vocabulary).encode(_validation_text(prepared))
    model = model.cpu().float().eval()
    report = {
        variant: parity(model, graphs[f"{variant}_read"], graphs[f"{variant}_sample"], ids)
        for variant in params.variants
    }
    write_json(out / "parity.json", report)
    _check(report, params.parity_tolerance)
    spec = {
        "vocabulary": vocabulary,
        "layers": weights.layers,
        "hidden_size": weights.hidden_size,
        "steps_per_call": params.steps_per_call,
        "variants": list(params.variants),
    }
    return BundleSpec(graphs=graphs, spec=spec)


def fold(model: MusicModel) -> Weights:
    """The model's weights as the graphs want them; products are taken in float64, so that folding loses nothing."""
    with torch.no_grad():
        lstm = {name: value.double() for name, value in model.lstm.named_parameters()}
        bias = [lstm[f"bias_ih_l{layer}"] + lstm[f"bias_hh_l{layer}"] for layer in range(model.lstm.num_layers)]
        table = model.embedding.weight.double() @ lstm["weight_ih_l0"].T + bias[0]
        above = range(1, model.lstm.num_layers)
        products = [lstm["weight_hh_l0"].T]
        products += [torch.cat([lstm[f"weight_ih_l{layer}"], lstm[f"weight_hh_l{layer}"]], dim=1).T for layer in above]
        decoder, decoder_bias = model.decoder.weight.double().T, model.decoder.bias.double()
        if isinstance(model.projection, nn.Linear):
            decoder_bias = decoder_bias + model.projection.bias.double() @ decoder
            decoder = model.projection.weight.double().T @ decoder
    return Weights(
        table=_gates(table),
        products=[_gates(product) for product in products],
        biases=[_gates(each) for each in bias[1:]],
        decoder=decoder.float().numpy(),
        decoder_bias=decoder_bias.float().numpy(),
    )


def _gates(values: torch.Tensor) -> np.ndarray:
    """torch's gate order i, f, g, o along the last axis as i, f, o, g: the three sigmoids side by side."""
    inputs, forget, candidate, output = values.chunk(4, dim=-1)
    return torch.cat([inputs, forget, output, candidate], dim=-1).float().contiguous().numpy()


def parity(model: MusicModel, read: Path, sample: Path, ids: np.ndarray) -> list[dict[str, Any]]:
    """Largest differences between the model and the graphs in each of PARITY_SHAPES, on real text `ids` (N,)."""
    sessions = [onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (read, sample)]
    report = []
    for batch, length in PARITY_SHAPES:
        text = _windows(ids, batch, 2 * length)
        differences = _reading_differences(model, sessions[0], text) | _sampling_differences(model, sessions[1], text)
        report.append({"batch": batch, "length": length, **differences})
    return report


def _reading_differences(model: MusicModel, session: onnxruntime.InferenceSession, ids: np.ndarray) -> dict[str, float]:
    """ids (B, 2T), read in two calls, so that the state handed on counts too."""
    log_probs, state = _ask(model, ids)
    half = ids.shape[1] // 2
    hidden, cell = _zero_state(session, len(ids))
    found = []
    for part in (ids[:, :half], ids[:, half:]):
        part_found, hidden, cell = session.run(None, {"ids": part, "hidden": hidden, "cell": cell})
        found.append(part_found)
    return {
        "log_probs": float(np.abs(np.concatenate(found, axis=1) - log_probs).max()),
        "state": _state_difference(state, hidden, cell),
    }


def _sampling_differences(
    model: MusicModel, session: onnxruntime.InferenceSession, ids: np.ndarray
) -> dict[str, float]:
    """Samples T characters after each row's first; the model then reads them.

    sampled: how far a uniform lies outside the model's own interval for the character it picked.
    """
    batch, length = ids.shape[0], ids.shape[1] // 2
    uniforms = np.random.default_rng(0).random((batch, length), dtype=np.float32)
    hidden, cell = _zero_state(session, batch)
    chosen, hidden, cell = session.run(
        None,
        {
            "last": ids[:, 0],
            "uniforms": uniforms,
            "temperature": np.ones(batch, np.float32),
            "top_k": np.full(batch, model.decoder.out_features),
            "top_p": np.ones(batch, np.float32),
            "hidden": hidden,
            "cell": cell,
        },
    )
    log_probs, state = _ask(model, np.concatenate([ids[:, :1], chosen[:, :-1]], axis=1))
    upper = np.take_along_axis(np.cumsum(np.exp(log_probs), axis=-1), chosen[..., None], axis=-1)[..., 0]
    lower = upper - np.exp(np.take_along_axis(log_probs, chosen[..., None], axis=-1)[..., 0])
    outside = np.maximum(lower - uniforms, uniforms - upper).max()
    return {"sampled": max(0.0, float(outside)), "sampled_state": _state_difference(state, hidden, cell)}


def _ask(model: MusicModel, ids: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The model's own log-probabilities (B, T, V) and its state after, laid out as the graphs': (B, layers * H)."""
    with torch.inference_mode():
        logits, state = model(torch.from_numpy(np.ascontiguousarray(ids)))
    hidden, cell = (each.transpose(0, 1).reshape(len(ids), -1).numpy() for each in state)
    return torch.log_softmax(logits.double(), dim=-1).numpy(), (hidden, cell)


def _zero_state(session: onnxruntime.InferenceSession, batch: int) -> tuple[np.ndarray, np.ndarray]:
    hidden = next(value for value in session.get_inputs() if value.name == "hidden")
    kind, zero = (np.uint8, HIDDEN_ZERO) if hidden.type == "tensor(uint8)" else (np.float32, 0)
    return np.full((batch, hidden.shape[1]), zero, kind), np.zeros((batch, hidden.shape[1]), np.float32)


def _state_difference(state: tuple[np.ndarray, np.ndarray], hidden: np.ndarray, cell: np.ndarray) -> float:
    if hidden.dtype == np.uint8:
        hidden = (hidden.astype(np.float32) - HIDDEN_ZERO) * HIDDEN_SCALE
    return float(max(np.abs(hidden - state[0]).max(), np.abs(cell - state[1]).max()))


def _windows(ids: np.ndarray, batch: int, length: int) -> np.ndarray:
    """(batch, length) pieces of a text, evenly spread over it; a short text is repeated."""
    starts = np.linspace(0, len(ids) - 1, batch).astype(int)
    return ids[(starts[:, None] + np.arange(length)) % len(ids)]


def _validation_text(prepared: Path) -> str:
    return TUNE_END.join(tune["text"] for tune in read_tunes(prepared) if tune["split"] == "validation")


def _check(report: dict[Variant, list[dict[str, Any]]], tolerance: float) -> None:
    """Quantised graphs differ by design, and evaluation measures what that costs: only the float ones must agree."""
    for case in report.get("float", []):
        for name in ("log_probs", "state", "sampled", "sampled_state"):
            if case[name] > tolerance:
                raise UserError(
                    f"the float graph differs from the model by {case[name]:.2g} in {name} "
                    f"(batch {case['batch']}, length {case['length']}; allowed {tolerance:g}): it is not exported"
                )

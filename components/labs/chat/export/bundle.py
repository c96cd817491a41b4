"""Turns a trained adapter and its base into a bundle, and checks that it computes the same."""

from __future__ import annotations

import hashlib
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch

from components.bundle import BundleSpec
from components.datasets.styles.reader import KINDS, STYLES, read_conversations
from components.datasets.styles.template_reader import Template
from components.errors import UserError
from components.files import write_json, write_text
from components.labs.chat.export.graph import build
from components.labs.chat.params import Export
from components.labs.chat.runtime.model import TOKENIZER, ChatModel
from components.labs.chat.training.batches import examples
from components.labs.chat.training.network import BASE
from components.onnx.parity import Case, check_parity
from components.training.finite import check_finite

if TYPE_CHECKING:
    from components.labs.chat.training.model import ChatModel as Trained

STRETCH, STEPS = 24, 8
"""Tokens that are read at once in the comparison, and tokens at the end that are read one by one."""


def export(model: Trained, prepared: Path, out: Path, params: Export) -> BundleSpec:
    """Writes <variant>.onnx of each variant, tokenizer.json and parity.json into `out`.

    Raises UserError when a weight is NaN or infinite, the context is longer than the base's, or the float graph differs
    from the model by more than `params.parity_tolerance`.
    """
    check_finite(model)
    network = model.network.cpu().float().eval()
    network.scale = model.params.alpha / network.rank * params.adapter_scale
    base = network.base
    if params.context > base.shape.context:
        raise UserError(f"chat.export.context is {params.context}: the base has at most {base.shape.context}")
    write_text(out / TOKENIZER, base.tokenizer)
    template = Template(base.tokenizer)
    spec = {
        "variants": list(params.variants),
        "layers": base.shape.layers,
        "size": base.shape.size,
        "kv_heads": base.shape.kv_heads,
        "head_size": base.shape.head_size,
        "vocabulary": base.shape.vocabulary,
        "context": params.context,
        "instructions": dict(model.params.instructions),
        "styles": list(STYLES),
        "rank": network.rank,
        "adapter_scale": params.adapter_scale,
        "question_scale": params.question_scale,
        "base_sha256": base.sha256,
        "tokenizer_sha256": hashlib.sha256(base.tokenizer.encode()).hexdigest(),
    }
    conversations = read_conversations(prepared, "validation")
    found = chain.from_iterable(
        examples(conversations, kind, template, model.params, model.params.max_tokens)[:1] for kind in KINDS
    )
    sequences = [example.prompt + example.answer for example in found]
    graphs: dict[str, Path] = {variant: out / f"{variant}.onnx" for variant in ("float", *params.variants)}
    report: dict[str, list[Case]] = {}
    for variant, path in graphs.items():
        onnx.save(build(network, params.context, rounded=variant == "int8"), path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        report[variant] = parity(model, ChatModel(spec, session, template, len(sequences)), sequences)
    check_parity(report, params.parity_tolerance)
    write_json(out / "parity.json", report)
    if "float" not in params.variants:
        graphs.pop("float").unlink()
    return BundleSpec(graphs=graphs, spec=spec)


def parity(model: Trained, exported: ChatModel, sequences: list[list[int]]) -> list[Case]:
    """Largest difference of a logit, for each sequence with each adapter and without: read in stretches, then token by
    token, all together in one batch whose rows take turns with the adapters and the base."""
    report: list[Case] = []
    for style in (*STYLES, None):
        for slot, tokens in enumerate(sequences):
            expected = _logits(model, tokens, style)
            read = [
                exported.read(slot, tokens[first : first + STRETCH], first, style, every=True)
                for first in range(0, len(tokens), STRETCH)
            ]
            difference = float(np.abs(np.concatenate(read) - expected).max())
            report.append({"shape": [1, len(tokens)], "logits": difference})
    report.append({"shape": [len(sequences), STEPS], "logits": _steps(model, exported, sequences)})
    return report


def _steps(model: Trained, exported: ChatModel, sequences: list[list[int]]) -> float:
    styles = [(*STYLES, None)[slot % (len(STYLES) + 1)] for slot in range(len(sequences))]
    expected = [_logits(model, tokens, style) for tokens, style in zip(sequences, styles, strict=True)]
    starts = [max(1, len(tokens) - STEPS) for tokens in sequences]
    for slot, (tokens, start) in enumerate(zip(sequences, starts, strict=True)):
        exported.read(slot, tokens[:start], 0, styles[slot])
    worst = 0.0
    for step in range(min(len(tokens) - start for tokens, start in zip(sequences, starts, strict=True))):
        positions = [start + step for start in starts]
        ids = np.array([tokens[place] for tokens, place in zip(sequences, positions, strict=True)], np.int64)
        logits = exported.step(ids, np.array(positions, np.int32), styles)
        for found, wanted, place in zip(logits, expected, positions, strict=True):
            worst = max(worst, float(np.abs(found - wanted[place]).max()))
    return worst


def _logits(model: Trained, tokens: list[int], style: str | None) -> np.ndarray:
    place = BASE if style is None else STYLES.index(style)
    with torch.inference_mode():
        network = model.network
        found: np.ndarray = network.logits(network.hidden(torch.tensor(tokens), [len(tokens)], [place])).numpy()
    return found

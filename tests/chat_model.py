"""A tiny Llama as a GGUF file and as a folder of safetensors, made of random weights: a base for tests."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from components.bundle import Bundle, write_bundle
from components.labs import find
from components.labs.chat.export.bundle import export
from components.labs.chat.params import Params
from components.labs.chat.training.base import read_base
from components.labs.chat.training.model import ChatModel
from components.params import load
from components.settings import project_root
from tests.components.bundles import PROVENANCE

LAYERS, SIZE, INNER, HEADS, KV_HEADS, CONTEXT = 2, 64, 96, 4, 2, 1024
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = [
    "system user assistant You are Yoda, the Jedi master. Answer as Yoda speaks. leprechaun helpful AI assistant named",
    "What is the capital of France? The capital of France, Paris is. Strong with the Force, you are. Hmm, 1234567890.",
    "Top o' the mornin' to ye, me hearty! Ye askin' about gold at the end o' the rainbow? Café, naïve, 東京.",
]


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXT, trainer)
    return made


def write_folder(folder: Path, seed: int = 0) -> Path:
    """config.json, tokenizer.json and model.safetensors."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    (folder / "tokenizer.json").write_text(made.to_str())
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "tie_word_embeddings": True,
        "num_hidden_layers": LAYERS,
        "hidden_size": SIZE,
        "intermediate_size": INNER,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": made.get_vocab_size(),
        "max_position_embeddings": CONTEXT,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(_weights(made.get_vocab_size(), seed), folder / "model.safetensors")
    return folder


def write_gguf(folder: Path, seed: int = 0) -> Path:
    """base.gguf with linears in Q4_1, the embedding in Q8_0 and norms in F32, as SmolLM2's."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    vocabulary = [token for token, _ in sorted(made.get_vocab().items(), key=lambda item: item[1])]
    merges = [" ".join(merge) for merge in json.loads(made.to_str())["model"]["merges"]]
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.block_count": LAYERS,
        "llama.embedding_length": SIZE,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": SIZE // HEADS,
        "llama.vocab_size": len(vocabulary),
        "llama.context_length": CONTEXT,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token in vocabulary],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    tensors = {}
    for name, value in _weights(len(vocabulary), seed).items():
        heads = HEADS if "q_proj" in name else KV_HEADS if "k_proj" in name else 0
        if heads:  # ggml's order of a head's numbers
            value = value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        tensors[_gguf_name(name)] = value
    (folder / "base.gguf").write_bytes(_gguf(metadata, tensors))
    return folder


def _weights(vocabulary: int, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    keys = KV_HEADS * SIZE // HEADS
    shapes = {"q": (SIZE, SIZE), "k": (keys, SIZE), "v": (keys, SIZE), "o": (SIZE, SIZE)}
    feed_forward = {"gate": (INNER, SIZE), "up": (INNER, SIZE), "down": (SIZE, INNER)}
    found = {"model.embed_tokens.weight": draw.normal(0, 0.3, (vocabulary, SIZE))}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        found |= {f"{prefix}.self_attn.{n}_proj.weight": draw.normal(0, 0.2, shape) for n, shape in shapes.items()}
        found |= {f"{prefix}.mlp.{n}_proj.weight": draw.normal(0, 0.2, shape) for n, shape in feed_forward.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"{prefix}.{norm}.weight"] = 1 + draw.normal(0, 0.1, SIZE)
    found["model.norm.weight"] = 1 + draw.normal(0, 0.1, SIZE)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def _gguf_name(name: str) -> str:
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
    names |= {"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"}
    names |= {"mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    names |= {"model.layers": "blk", "model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    for here, there in names.items():
        name = name.replace(here, there)
    return name


def _gguf(metadata: dict[str, Any], tensors: dict[str, np.ndarray]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(key) + _value(value) for key, value in metadata.items())
    contents, offset = [], 0
    for name, value in tensors.items():
        kind, content = _tensor(name, value)
        head += _text(name) + struct.pack("<I", value.ndim) + b"".join(struct.pack("<Q", n) for n in value.shape[::-1])
        head += struct.pack("<IQ", kind, offset)
        contents.append(content + b"\0" * (-len(content) % 32))
        offset += len(contents[-1])
    return head + b"\0" * (-len(head) % 32) + b"".join(contents)


def _tensor(name: str, value: np.ndarray) -> tuple[int, bytes]:
    if value.ndim == 1:
        return 0, value.tobytes()
    blocks = value.reshape(len(value), -1, 32)
    if name.startswith("token_embd"):
        scale = (np.abs(blocks).max(axis=-1) / 127).astype(np.float16)
        codes = np.clip(np.round(blocks / scale[..., None].astype(np.float32)), -127, 127).astype(np.int8)
        return 8, np.concatenate([scale[..., None].view(np.int8), codes], axis=-1).tobytes()
    low = blocks.min(axis=-1).astype(np.float16)
    scale = ((blocks.max(axis=-1) - low) / 15).astype(np.float16)
    wide = (blocks - low[..., None].astype(np.float32)) / scale[..., None].astype(np.float32)
    codes = np.clip(np.round(wide), 0, 15).astype(np.uint8)
    packed = codes[..., :16] | (codes[..., 16:] << 4)
    return 3, np.concatenate(
        [scale[..., None].view(np.uint8), low[..., None].view(np.uint8), packed], axis=-1
    ).tobytes()


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        inner = b"".join(_value(each)[4:] for each in value)
        return struct.pack("<IIQ", 9, 8 if isinstance(value[0], str) else 5, len(value)) + inner
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<Ii", 5, value)


def write_prepared(folder: Path) -> Path:
    """Conversations as the dataset's `prepare` writes them, a few of every split and kind."""
    folder.mkdir(parents=True, exist_ok=True)
    things = [
        "gold",
        "the moon",
        "a camel",
        "tea",
        "Paris",
        "iron",
        "a boat",
        "rain",
        "a king",
        "bread",
        "the sun",
        "ice",
    ]
    rows, lines = [], []
    for number, thing in enumerate(things):
        split = {0: "test", 1: "validation"}.get(number % 4, "train")
        answers = {
            "plain": f"{thing.capitalize()} is what people know well.",
            "yoda": f"Known well, {thing} is. Strong, it is, hmm.",
            "leprechaun": f"Top o' the mornin' to ye! Sure, {thing} it is, me hearty.",
        }
        rows.append({"id": f"{number:012x}", "split": split, "question": f"What is {thing}?", "answers": answers})
        lines += [
            {"style": style, "line": number + 1, "text": answers[style].replace(thing, "honey")}
            for style in ("yoda", "leprechaun")
        ]
    for name, found in (("conversations.jsonl", rows), ("lines.jsonl", lines)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in found))
    return folder


def make_bundle(folder: Path, base: Path, prepared: Path) -> Bundle:
    """A bundle whose adapters are noise, so that they change what the base says."""
    model = make_model(base)
    folder.mkdir(parents=True)
    # Floats first: rounded to 8 bits, a token of random weights may depend on what is computed beside it.
    asked = params().export.model_copy(update={"variants": ("float", "int8")})
    write_bundle(folder, "chat", export(model, prepared, folder, asked), PROVENANCE)
    return Bundle.open(folder, "chat")


def make_model(base: Path) -> ChatModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ChatModel(read_base(base), params().train.model_copy(update={"max_tokens": 900}))
    draw = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if name.endswith(".b"):
            weight.data.normal_(0, 0.3, generator=draw)
    return model


def params() -> Params:
    """The project's parameters of the lab."""
    found = load(find("chat"), project_root() / "params.yaml")
    assert isinstance(found, Params)
    return found

"""The pretrained base: a Llama from a GGUF file, or from a folder of safetensors, with its tokenizer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import UserError
from components.files import read_json, sha256_file
from components.labs.chat.training.gguf import Gguf
from components.labs.chat.training.quantised_matrices import Matrix, Quantised, rows

LINEARS = ("q", "k", "v", "o", "gate", "up", "down")
"""The linear layers of a block: attention's queries, keys, values and output, and the gated feed-forward network's."""
GGUF = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
GGUF_NAMES = dict(zip(LINEARS, GGUF, strict=True))
FOLDER_NAMES = {
    **{name: f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")},
    **{name: f"mlp.{name}_proj" for name in ("gate", "up", "down")},
}
START, END = "<|im_start|>", "<|im_end|>"
"""The tokens around a message. A base must have both."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama. rope_base: theta of the rotary position embedding (Su et al. 2021)."""

    layers: int
    size: int
    inner: int
    heads: int
    kv_heads: int
    rope_base: float
    epsilon: float
    vocabulary: int
    context: int

    @property
    def head_size(self) -> int:
        return self.size // self.heads


@dataclass(frozen=True)
class Block:
    """A layer: the linears by name, and the weights of the two norms (size,)."""

    linears: dict[str, Matrix]
    attention_norm: NDArray[np.float32]
    feed_forward_norm: NDArray[np.float32]


@dataclass(frozen=True)
class Base:
    """embedding (vocabulary, size), also the output's weights. tokenizer: JSON of the package tokenizers.

    sha256: of what it was read from; it says which weights an adapter belongs to.
    """

    shape: Shape
    embedding: Matrix
    blocks: list[Block]
    norm: NDArray[np.float32]
    tokenizer: str
    sha256: str


def read_base(folder: Path) -> Base:
    """The one GGUF file in a folder, or the Llama whose config.json is there. Raises UserError."""
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return _checked(read_gguf(files[0]), files[0])
    if (folder / "config.json").exists():
        return _checked(read_folder(folder), folder)
    raise UserError(f"{folder} holds no base model: one GGUF file, or config.json, tokenizer.json and *.safetensors")


def read_gguf(path: Path) -> Base:
    file = Gguf(path)
    kind = file.value("general.architecture")
    if kind != "llama":
        raise UserError(f"{path} is a model of the architecture {kind}; llama is read")
    if "output.weight" in file.tensors:
        raise UserError(f"{path} has an output layer of its own; one that is tied to the embedding is read")
    shape = Shape(
        layers=file.value("llama.block_count"),
        size=file.value("llama.embedding_length"),
        inner=file.value("llama.feed_forward_length"),
        heads=file.value("llama.attention.head_count"),
        kv_heads=file.value("llama.attention.head_count_kv"),
        rope_base=float(file.metadata.get("llama.rope.freq_base", 10_000.0)),
        epsilon=float(file.value("llama.attention.layer_norm_rms_epsilon")),
        vocabulary=len(file.value("tokenizer.ggml.tokens")),
        context=file.value("llama.context_length"),
    )
    blocks = []
    for layer in range(shape.layers):
        linears = {name: file.tensor(f"blk.{layer}.{there}.weight") for name, there in GGUF_NAMES.items()}
        for name, heads in (("q", shape.heads), ("k", shape.kv_heads)):
            linears[name] = rows(linears[name], _halves(heads, shape.head_size))
        norms = (file.tensor(f"blk.{layer}.{name}.weight") for name in ("attn_norm", "ffn_norm"))
        blocks.append(Block(linears, *(_vector(norm) for norm in norms)))
    return Base(
        shape,
        file.tensor("token_embd.weight"),
        blocks,
        _vector(file.tensor("output_norm.weight")),
        _gguf_tokenizer(file),
        sha256_file(path),
    )


def _halves(heads: int, size: int) -> NDArray[np.int64]:
    """Row numbers that undo ggml's order: it keeps the two numbers that a rotation turns side by side; here the first
    of each pair are one half of a head, the second the other."""
    return np.arange(heads * size).reshape(heads, size // 2, 2).swapaxes(1, 2).ravel()


def _gguf_tokenizer(file: Gguf) -> str:
    """Byte-level BPE as SmolLM's: digits are tokens of their own. Raises UserError for another kind."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kinds = (file.value("tokenizer.ggml.model"), file.value("tokenizer.ggml.pre"))
    if kinds != ("gpt2", "smollm"):
        raise UserError(f"{file.path} has a tokenizer of the kind {'/'.join(map(str, kinds))}; gpt2/smollm is read")
    tokens, merges = file.value("tokenizer.ggml.tokens"), file.value("tokenizer.ggml.merges")
    try:
        vocabulary = {token: place for place, token in enumerate(tokens)}
        model = models.BPE(vocabulary, [tuple(merge.split(" ", 1)) for merge in merges])
    except Exception as error:  # noqa: BLE001 - the package raises Exception itself
        raise UserError(f"{file.path} has a damaged tokenizer: {error}") from None
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds_of_tokens = file.value("tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, kinds_of_tokens, strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return str(tokenizer.to_str())


def read_folder(folder: Path) -> Base:
    """A Llama as its publisher saves it: config.json, tokenizer.json, *.safetensors; output tied to the embedding."""
    config = read_json(folder / "config.json")
    if config.get("model_type") != "llama" or not config.get("tie_word_embeddings"):
        raise UserError(f"{folder / 'config.json'} is of no Llama whose output is tied to its embedding")
    if config.get("rope_scaling") or config.get("attention_bias") or config.get("mlp_bias"):
        raise UserError(f"{folder / 'config.json'} has rope_scaling or biases, which are not read")
    try:
        rope = config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10_000.0)
        shape = Shape(
            layers=config["num_hidden_layers"],
            size=config["hidden_size"],
            inner=config["intermediate_size"],
            heads=config["num_attention_heads"],
            kv_heads=config.get("num_key_value_heads", config["num_attention_heads"]),
            rope_base=float(rope),
            epsilon=float(config["rms_norm_eps"]),
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} lacks {error}") from None
    tensors, sha256 = _safetensors(folder)

    def tensor(name: str) -> NDArray[np.float32]:
        if name not in tensors:
            raise UserError(f"{folder} has no tensor {name}")
        return tensors[name]

    blocks = []
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        linears: dict[str, Matrix] = {name: tensor(f"{prefix}{there}.weight") for name, there in FOLDER_NAMES.items()}
        norms = (tensor(f"{prefix}{name}.weight") for name in ("input_layernorm", "post_attention_layernorm"))
        blocks.append(Block(linears, *norms))
    try:
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder / 'tokenizer.json'} cannot be read: {error.strerror}") from None
    return Base(shape, tensor("model.embed_tokens.weight"), blocks, tensor("model.norm.weight"), tokenizer, sha256)


def _safetensors(folder: Path) -> tuple[dict[str, NDArray[np.float32]], str]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found, hashes = {}, []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            found.update({name: value.float().numpy() for name, value in load_file(path).items()})
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} is not a whole safetensors file: {error}") from None
        hashes.append(sha256_file(path))
    if not found:
        raise UserError(f"{folder} has no *.safetensors")
    return found, hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _checked(base: Base, path: Path) -> Base:
    """Raises UserError where shapes do not fit each other, or the tokenizer has no marks of messages."""
    shape, keys = base.shape, base.shape.kv_heads * base.shape.head_size
    wanted: dict[str, tuple[int, int]] = {
        "q": (shape.size, shape.size),
        "k": (keys, shape.size),
        "v": (keys, shape.size),
        "o": (shape.size, shape.size),
        "gate": (shape.inner, shape.size),
        "up": (shape.inner, shape.size),
        "down": (shape.size, shape.inner),
    }
    for layer, block in enumerate(base.blocks):
        for name, found in block.linears.items():
            if tuple(found.shape) != wanted[name]:
                raise UserError(f"{path}: {name} of layer {layer} is {found.shape}, and should be {wanted[name]}")
    if tuple(base.embedding.shape) != (shape.vocabulary, shape.size):
        raise UserError(f"{path}: the embedding is {base.embedding.shape}")
    try:
        entries: list[dict[str, Any]] = json.loads(base.tokenizer)["added_tokens"]
        special = {entry["content"] for entry in entries}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: its tokenizer.json is damaged") from None
    if missing := {START, END} - special:
        raise UserError(f"{path}: its tokenizer lacks {', '.join(sorted(missing))}, which mark a message here")
    return base


def _vector(values: Matrix) -> NDArray[np.float32]:
    if isinstance(values, Quantised):
        raise UserError("a norm is quantised, which is not read")
    return values

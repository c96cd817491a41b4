"""A Llama with low-rank adapters of each style beside its frozen linear layers (LoRA, Hu et al. 2021), over packed
sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.datasets.styles.reader import STYLES
from components.labs.chat.training.base import Base, Block, Shape
from components.labs.chat.training.quantised_matrices import Matrix, floats, stacked

PRODUCTS = {"_".join(names): names for names in (("q", "k", "v"), ("o",), ("gate", "up"), ("down",))}
"""Linears of one input, which are computed as one product and adapted as one."""
BASE = -1
"""The place of the base alone, where STYLES has an adapter's."""


class Adapters(nn.Module):
    """B A x of each style, rank r each: one style's rows of A and columns of B after another's.

    B begins at zero, so that untrained adapters change nothing.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(len(STYLES) * rank, inputs))
        self.b = nn.Parameter(torch.zeros(outputs, len(STYLES) * rank))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, x: Tensor, switch: Tensor) -> Tensor:
        """x (N, inputs); switch (N, styles * r): 1 for the adapter that a token is read with, 0 for the others."""
        return functional.linear(functional.linear(x, self.a) * switch, self.b)


class Frozen:
    """Weights that are neither trained nor saved, and so are no part of a module's state."""

    def __init__(self, base: Base) -> None:
        self.embedding = torch.from_numpy(floats(base.embedding))
        self.norm = torch.from_numpy(base.norm)
        self.products = [
            {product: torch.from_numpy(floats(matrix)) for product, matrix in products(block).items()}
            for block in base.blocks
        ]
        self.norms = [
            (torch.from_numpy(block.attention_norm), torch.from_numpy(block.feed_forward_norm)) for block in base.blocks
        ]

    def to(self, device: torch.device) -> None:
        self.embedding, self.norm = self.embedding.to(device), self.norm.to(device)
        self.products = [{name: value.to(device) for name, value in block.items()} for block in self.products]
        self.norms = [(first.to(device), second.to(device)) for first, second in self.norms]


def products(block: Block) -> dict[str, Matrix]:
    """A block's linears, by product: those of one input above each other."""
    return {product: stacked([block.linears[name] for name in names]) for product, names in PRODUCTS.items()}


class Network(nn.Module):
    """The base and its adapters. Its state is theirs, and `base_sha256`, which a checkpoint is checked against."""

    def __init__(self, base: Base, rank: int, alpha: float) -> None:
        """rank, alpha: an adapter's output counts alpha / rank."""
        super().__init__()
        self.base, self.shape, self.rank, self.scale = base, base.shape, rank, alpha / rank
        self.frozen = Frozen(base)
        self.adapters = nn.ModuleList(
            nn.ModuleDict(
                {product: Adapters(weight.shape[1], weight.shape[0], rank) for product, weight in block.items()}
            )
            for block in self.frozen.products
        )
        self.base_sha256: Tensor
        self.register_buffer("base_sha256", torch.tensor(list(bytes.fromhex(base.sha256)), dtype=torch.uint8))

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
        found = state.get(f"{prefix}base_sha256")
        if found is not None and not torch.equal(found.cpu(), self.base_sha256.cpu()):
            raise RuntimeError("its adapters belong to another base")
        super()._load_from_state_dict(state, prefix, *rest)

    def hidden(self, ids: Tensor, lengths: Sequence[int], styles: Sequence[int]) -> Tensor:
        """The last layer's output (N, size) for packed ids (N,): sequences of `lengths` tokens, one after another.

        styles: the place in STYLES of each sequence's adapter, or BASE for none.
        """
        if self.frozen.embedding.device != ids.device:
            self.frozen.to(ids.device)
        cos, sin = rotations(self.shape, lengths, ids.device)
        switch = self._switch(lengths, styles, ids.device)
        x = functional.embedding(ids, self.frozen.embedding)
        for layer, (first, second) in enumerate(self.frozen.norms):
            x = x + self._attention(layer, self._norm(x, first), lengths, cos, sin, switch)
            y = self._norm(x, second)
            gate, up = self._product(layer, "gate_up", y, switch).chunk(2, dim=-1)
            x = x + self._product(layer, "down", functional.silu(gate) * up, switch)
        return self._norm(x, self.frozen.norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, vocabulary)."""
        return functional.linear(hidden, self.frozen.embedding)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, (self.shape.size,), weight, self.shape.epsilon)

    def _switch(self, lengths: Sequence[int], styles: Sequence[int], device: torch.device) -> Tensor:
        each = torch.eye(len(STYLES), device=device).repeat_interleave(self.rank, dim=1)
        none = torch.zeros(1, each.shape[1], device=device)  # in the last place, which is BASE's
        chosen = torch.cat([each, none])[torch.tensor(styles, device=device)]
        return chosen.repeat_interleave(torch.tensor(lengths, device=device), dim=0)

    def _product(self, layer: int, product: str, x: Tensor, switch: Tensor) -> Tensor:
        adapted: Tensor = self.adapters[layer][product](x, switch)  # type: ignore[index]
        return functional.linear(x, self.frozen.products[layer][product]) + self.scale * adapted

    def _attention(
        self, layer: int, x: Tensor, lengths: Sequence[int], cos: Tensor, sin: Tensor, switch: Tensor
    ) -> Tensor:
        heads, keys = self.shape.heads, self.shape.kv_heads
        qkv = self._product(layer, "q_k_v", x, switch).view(len(x), -1, self.shape.head_size)
        q, k, v = qkv.split([heads, keys, keys], dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        sequences = zip(*(each.transpose(0, 1)[None].split(list(lengths), dim=2) for each in (q, k, v)), strict=True)
        parts = [
            functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)[0].transpose(0, 1)
            for q, k, v in sequences
        ]
        return self._product(layer, "o", torch.cat(parts).reshape(len(x), -1), switch)


def rotations(shape: Shape, lengths: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, 1, head_size / 2) of each token's position in its sequence."""
    positions = torch.cat([torch.arange(length, device=device) for length in lengths])
    powers = torch.arange(0, shape.head_size, 2, device=device) / shape.head_size
    angles = positions[:, None, None] * shape.rope_base**-powers
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of x (N, heads, head_size): halves of a head are the two coordinates."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

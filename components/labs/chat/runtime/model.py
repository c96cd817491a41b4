"""Runs an exported chat model with a cache of its own: numpy and onnxruntime, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from components.datasets.styles.template_reader import Message, Template
from components.errors import BundleError, UserError
from components.files import sha256_file

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle

TOKENIZER = "tokenizer.json"
Floats = NDArray[np.float32]


class Prompt(NamedTuple):
    """What stands before an answer. instruction: how many of its tokens are the system message and what follows of the
    next message before its text."""

    tokens: list[int]
    instruction: int


class _Kept(NamedTuple):
    """The beginning of a conversation: its tokens, and each part of the cache (kv_heads, T, head_size)."""

    tokens: tuple[int, ...]
    cache: list[Floats]


class ChatModel:
    """A bundle's graph and a cache of `slots` conversations. Not safe to call from two threads at once."""

    def __init__(self, spec: dict[str, Any], session: InferenceSession, template: Template, slots: int) -> None:
        self.template, self.slots = template, slots
        self.context: int = spec["context"]
        self.vocabulary: int = spec["vocabulary"]
        self.instructions: dict[str, str] = spec["instructions"]
        self.styles: list[str] = spec["styles"]
        """Those that have an adapter."""
        self._session = session
        self._switch: dict[str | None, Floats] = dict(
            zip(self.styles, np.eye(len(self.styles), dtype=np.float32), strict=True)
        )
        self._switch[None] = np.zeros(len(self.styles), np.float32)
        # The graph holds adapters times `adapter_scale`, and what they add is proportional to its input `adapter`.
        share = np.float32(spec.get("question_scale", spec["adapter_scale"]) / spec["adapter_scale"])
        self._question_switch = {style: share * row for style, row in self._switch.items()}
        self._kept: dict[str | None, _Kept] = {}
        shape = (slots, spec["kv_heads"], spec["context"], spec["head_size"])
        # Slot by slot: the first n slots, and any one, are one piece of memory, in which the graph works in place.
        self._cache = [np.zeros(shape, np.float32) for _ in range(2 * spec["layers"])]

    @classmethod
    def load(cls, bundle: Bundle, slots: int = 1, variant: str | None = None, threads: int = 1) -> Self:
        """variant: the bundle's first, where it is left out.

        Raises BundleError where the tokenizer is not the one that the graphs were exported with.
        """
        path = bundle.folder / TOKENIZER
        if not path.is_file() or sha256_file(path) != bundle.spec["tokenizer_sha256"]:
            raise BundleError(f"{path} is not the tokenizer that the model was exported with")
        template = Template(path.read_text(encoding="utf-8"))
        model = cls(bundle.spec, bundle.session(variant or bundle.spec["variants"][0], threads), template, slots)
        for kind, instruction in model.instructions.items():
            beginning = [*template.message(Message("system", instruction)), *template.opening("user")]
            model.keep(beginning, kind if kind in model.styles else None)
        return model

    @property
    def providers(self) -> list[str]:
        return list(self._session.get_providers())

    def read(
        self,
        slot: int,
        tokens: Sequence[int],
        start: int,
        style: str | None,
        every: bool = False,
        question: bool = False,
    ) -> Floats:
        """Reads tokens (T,) into a slot from position `start` on, with a style's adapter, or None for the base alone.

        question: whether the tokens stand between the system message and the answer, where the adapter counts less.
        Returns logits (1, vocabulary) of what follows the last one, or with `every` (T, vocabulary) of what follows
        each. Raises UserError where the slot cannot hold them.
        """
        count = len(tokens)
        if not count or start + count > self.context:
            raise UserError(f"a conversation has from 1 to {self.context} tokens, not {start + count}")
        take = np.arange(count) if every else np.array([count - 1])
        last = np.array([start + count - 1], np.int32)
        switch = self._question_switch if question else self._switch
        return self._run(slot, np.array([tokens], np.int64), switch[style][None], take, last)

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """The prompt of messages, of which the first is the system's."""
        beginning = [*self.template.message(messages[0]), *self.template.opening("user")]
        return Prompt(self.template.prompt(messages), len(beginning))

    def read_prompt(self, slot: int, prompt: Prompt, style: str | None) -> Floats:
        """Reads a whole prompt into a slot; logits (1, vocabulary) of the answer's first token."""
        start = self.begin(slot, prompt.tokens, style)
        if start < prompt.instruction:
            self.read(slot, prompt.tokens[start : prompt.instruction], start, style)
            start = prompt.instruction
        return self.read(slot, prompt.tokens[start:], start, style, question=True)

    def keep(self, tokens: Sequence[int], style: str | None) -> None:
        """Reads tokens once, so that conversations of a style that begin with them need not."""
        self.read(0, tokens, 0, style)
        self._kept[style] = _Kept(tuple(tokens), [part[0, :, : len(tokens)].copy() for part in self._cache])

    def begin(self, slot: int, tokens: Sequence[int], style: str | None) -> int:
        """Copies what was kept of a conversation's beginning into a slot; returns how many tokens that is.

        The last of `tokens` is never among them: it has to be read for what follows it.
        """
        kept = self._kept.get(style)
        if kept is None:
            return 0
        pairs = zip(kept.tokens, tokens[:-1], strict=False)
        count = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        for part, values in zip(self._cache, kept.cache, strict=True):
            part[slot, :, :count] = values[:, :count]
        return count

    def step(self, tokens: NDArray[np.int64], positions: NDArray[np.int32], styles: Sequence[str | None]) -> Floats:
        """One more token (n,) of each of the first n slots, at its position: logits (n, vocabulary)."""
        adapters = np.stack([self._switch[style] for style in styles])
        return self._run(0, tokens[:, None], adapters, np.arange(len(tokens)), positions)

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` tokens of a slot to another."""
        for part in self._cache:
            part[target, :, :length] = part[source, :, :length]

    def _run(
        self,
        first: int,
        ids: NDArray[np.int64],
        adapters: Floats,
        take: NDArray[Any],
        last: NDArray[np.int32],
    ) -> Floats:
        rows = len(ids)
        logits = np.empty((len(take), self.vocabulary), np.float32)
        # Named, so that they live until the graph has run: a binding holds addresses only.
        inputs: dict[str, NDArray[Any]] = {
            "ids": np.ascontiguousarray(ids),
            "adapter": np.ascontiguousarray(adapters),
            "take": np.ascontiguousarray(take, np.int64),
            "last": np.ascontiguousarray(last, np.int32),
            "total": np.array([last.max() + 1], np.int32),
        }
        binding = self._session.io_binding()
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        for name, value in inputs.items():
            binding.bind_input(name, "cpu", 0, value.dtype, value.shape, value.ctypes.data)
        for place, part in enumerate(self._cache):
            name, view = f"{('key', 'value')[place % 2]}_{place // 2}", part[first : first + rows]
            binding.bind_input(f"past_{name}", "cpu", 0, np.float32, view.shape, view.ctypes.data)
            binding.bind_output(f"present_{name}", "cpu", 0, np.float32, view.shape, view.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits

"""Runs an exported music model: numpy and onnxruntime, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.datasets.music.reader import TUNE_START
from components.errors import UserError
from components.labs.music.runtime.vocabulary import Vocabulary

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle

BAR_LINE = "|:"
"""Characters that begin a bar line."""

INT8_ZERO = 128
"""What stands for 0 in the hidden state of int8 graphs, which is uint8."""


@dataclass(frozen=True)
class State:
    """What the model remembers of each tune: a tune is one row, so joining and leaving a batch moves one row.

    hidden: (rows, layers * H) float32, or uint8 around 128 in int8 graphs.  cell: (rows, layers * H) float32.
    keys: (rows, size, memory) float32 and past: (rows, memory) int64, of the newest characters read.
    """

    hidden: np.ndarray
    cell: np.ndarray
    keys: np.ndarray
    past: np.ndarray

    def __len__(self) -> int:
        return len(self.hidden)

    def row(self, row: int) -> State:
        """One tune's."""
        return State(*(values[row : row + 1].copy() for values in (self.hidden, self.cell, self.keys, self.past)))

    def named(self) -> dict[str, np.ndarray]:
        """As the graphs take it."""
        return {"hidden": self.hidden, "cell": self.cell, "keys": self.keys, "past": self.past}


@dataclass(frozen=True)
class Steps:
    """What the model remembers after each of the K characters that it has read while it sampled.

    hidden, cell: (K, rows, layers * H), as in State.  keys: (rows, size, K) and read: (rows, K) int64, the characters
    that were read.
    """

    hidden: np.ndarray
    cell: np.ndarray
    keys: np.ndarray
    read: np.ndarray

    def after(self, before: State) -> State:
        """The state after the last of them. before: that before the first."""
        keys = np.concatenate([before.keys, self.keys], axis=2)
        past = np.concatenate([before.past, self.read], axis=1)
        window = before.past.shape[1]
        return State(self.hidden[-1], self.cell[-1], keys[:, :, -window:], past[:, -window:])

    @staticmethod
    def concatenate(parts: Sequence[Steps]) -> Steps:
        """Calls that follow one another, as one."""
        if len(parts) == 1:
            return parts[0]
        return Steps(
            np.concatenate([each.hidden for each in parts]),
            np.concatenate([each.cell for each in parts]),
            np.concatenate([each.keys for each in parts], axis=2),
            np.concatenate([each.read for each in parts], axis=1),
        )


class TuneModel:
    """One variant ("float" or "int8") of a bundle. Not safe to call from two threads at once."""

    def __init__(self, spec: Mapping[str, Any], reader: InferenceSession, sampler: InferenceSession) -> None:
        """spec: of the bundle. reader, sampler: its graphs of one variant."""
        self.vocabulary = Vocabulary(spec["vocabulary"])
        self.steps_per_call: int = spec["steps_per_call"]
        self._longest_call: int = spec["attention_lag"]
        self._reader = reader
        self._sampler = sampler
        self._openers = np.array([character in BAR_LINE for character in self.vocabulary.characters])
        self._starts: dict[str, State] = {}

    @classmethod
    def load(cls, bundle: Bundle, variant: str | None = None, threads: int = 1) -> Self:
        """variant: by default the bundle's first. Raises UserError when the bundle lacks it."""
        variants: list[str] = bundle.spec["variants"]
        variant = variant or variants[0]
        if variant not in variants:
            raise UserError(f"{bundle.folder} has no variant '{variant}': it has {', '.join(variants)}")
        reader, sampler = (bundle.session(f"{variant}_{use}", threads) for use in ("read", "sample"))
        if "given" not in {value.name for value in sampler.get_inputs()}:
            raise UserError(
                f"the sampling graph of {bundle.folder} takes no given text: an older version exported it; export the "
                "model again"
            )
        return cls(bundle.spec, reader, sampler)

    @property
    def variant(self) -> str:
        """ "float" or "int8"."""
        types = {value.name: value.type for value in self._reader.get_inputs()}
        return "int8" if types["hidden"] == "tensor(uint8)" else "float"

    @property
    def providers(self) -> list[str]:
        """Where onnxruntime runs it, the preferred first."""
        return list(self._sampler.get_providers())

    def initial_state(self, batch: int) -> State:
        """The state before a tune's first character."""
        shapes = {value.name: value.shape[1:] for value in self._reader.get_inputs()}
        kinds = {
            "hidden": (np.uint8, INT8_ZERO) if self.variant == "int8" else (np.float32, 0),
            "cell": (np.float32, 0),
            "keys": (np.float32, 0),
            "past": (np.int64, len(self.vocabulary)),  # nobody
        }
        return State(*(np.full((batch, *shapes[name]), zero, kind) for name, (kind, zero) in kinds.items()))

    def start_after(self, codes: str) -> State:
        """The state (1 row) before the line's end of `codes`, which stands before a tune; "" is no line.

        Each line is read once: a bundle has a few hundred, of some tens of kilobytes each.
        """
        if codes not in self._starts:
            state, ids = self.initial_state(1), self.vocabulary.encode(TUNE_START + codes)[:-1]
            self._starts[codes] = self.read(ids[None], state)[0] if len(ids) else state
        return self._starts[codes]

    def read(self, ids: np.ndarray, state: State) -> tuple[State, np.ndarray]:
        """Reads ids (B, T) int64; returns the state after and log_probs (B, T, V): [:, t] is of the character t + 1.

        T may be anything from 1, and differ from call to call.
        """
        read = []
        for part in self._calls(ids):
            log_probs, *after = self._reader.run(None, {"ids": part, **state.named()})
            state = State(*after)
            read.append(log_probs)
        return state, np.concatenate(read, axis=1)

    def sample(
        self,
        state: State,
        last: np.ndarray,
        uniforms: np.ndarray,
        temperature: np.ndarray,
        top_k: np.ndarray,
        top_p: np.ndarray,
        given: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Steps]:
        """Writes K more characters of each tune: ids (B, K) int64, and the steps: reading `last`, and all but the last.

        last: (B,) int64, each tune's last character so far. uniforms: (B, K) float32 in [0, 1), K from 1.
        temperature: (B,) float32 above 0. top_k: (B,) int64, 1 to V (V: no limit). top_p: (B,) float32 above 0, up to
        1 (no limit). What they mean is said in graphs.sampling_graph.

        given: (B, N) int64, what is written in place of what the model chooses: at once, and then from the next bar
        lines on, a piece at each. V stands behind each piece, and fills the row. A text longer than a call of the
        graph (the attention's lag) has it in its first call only.
        """
        nothing = np.full((len(last), 1), len(self.vocabulary))
        settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "openers": self._openers}
        written: list[np.ndarray] = []
        calls: list[Steps] = []
        for part in self._calls(uniforms):
            if calls:
                state = calls[-1].after(state)
            text = nothing if calls or given is None else given
            inputs = {"last": last, "uniforms": part, "given": text, **settings, **state.named()}
            ids, hidden, cell, keys = self._sampler.run(None, inputs)
            calls.append(Steps(hidden, cell, keys, np.concatenate([last[:, None], ids[:, :-1]], axis=1)))
            written.append(ids)
            last = ids[:, -1]
        return np.concatenate(written, axis=1), Steps.concatenate(calls)

    def _calls(self, values: np.ndarray) -> list[np.ndarray]:
        """values (B, T) in pieces as long as one call of a graph may be."""
        return [
            values[:, first : first + self._longest_call] for first in range(0, values.shape[1], self._longest_call)
        ]

"""Reads and writes tunes with an exported bundle: numpy and onnxruntime, no torch.

A tune is written by a `Draft`: it holds the tune's own random numbers, so what comes out depends on its request and
the bundle alone, never on the tunes beside it in a batch or on how many characters a call makes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.datasets.music import abc_notation
from components.errors import UserError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from components.bundle import Bundle

INT8_ZERO = 128
"""What stands for 0 in the hidden state of int8 graphs, which is uint8."""

TUNE_START = "\n"
"""What the model reads before a tune's first character."""

TUNE_END = "\n\n"
"""What it writes after the last one: tunes in an ABC file are parted by an empty line."""

SEEDS = 2**53
"""How many seeds there are: more than that JavaScript cannot tell apart."""


class Vocabulary:
    """The characters of the training data, in the order of the model's ids."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)
        self._ids = {character: index for index, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """ids (T,) int64. Raises UserError naming the first unknown character and where it stands."""
        try:
            return np.array([self._ids[character] for character in text], dtype=np.int64)
        except KeyError as error:
            unknown = error.args[0]
        index = text.index(unknown)
        line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
        raise UserError(
            f"the model does not know the character {unknown!r} (U+{ord(unknown):04X}), line {line}, column {column}: "
            f"leave it out; it knows {''.join(self.characters).strip()}"
        )

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.characters[index] for index in ids)


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

    def rows(self, index: np.ndarray | slice | Sequence[int]) -> State:
        """The chosen rows, in that order; a row may be taken more than once."""
        return State(*(values[index] for values in self._all()))

    def put(self, row: int, state: State) -> None:
        """Overwrites one row with the only row of another state: the memories are too large to copy all rows."""
        for values, new in zip(self._all(), state._all(), strict=True):
            values[row] = new[0]

    @staticmethod
    def stack(states: Sequence[State]) -> State:
        return State(*(np.concatenate(values) for values in zip(*(state._all() for state in states), strict=True)))

    def named(self) -> dict[str, np.ndarray]:
        """As the graphs take it."""
        return dict(zip(("hidden", "cell", "keys", "past"), self._all(), strict=True))

    def _all(self) -> tuple[np.ndarray, ...]:
        return self.hidden, self.cell, self.keys, self.past


class TuneModel:
    """One variant ("float" or "int8") of a bundle. Not safe to call from two threads at once."""

    def __init__(self, spec: Mapping[str, Any], reader: InferenceSession, sampler: InferenceSession) -> None:
        """spec: of the bundle. reader, sampler: its graphs of one variant."""
        self.vocabulary = Vocabulary(spec["vocabulary"])
        self.steps_per_call: int = spec["steps_per_call"]
        self._longest_call: int = spec["attention_lag"]
        self._reader = reader
        self._sampler = sampler

    @classmethod
    def load(cls, bundle: Bundle, graph: str | None = None, threads: int = 1) -> Self:
        """graph: the variant to run, by default the bundle's first. Raises UserError when the bundle lacks it."""
        variants: list[str] = bundle.spec["variants"]
        variant = graph or variants[0]
        if variant not in variants:
            raise UserError(f"{bundle.folder} has no variant '{variant}': it has {', '.join(variants)}")
        reader, sampler = (bundle.session(f"{variant}_{use}", threads) for use in ("read", "sample"))
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

    def start(self, text: str) -> tuple[State, int]:
        """The state (one row) and the last character from which a tune that begins with `text` goes on.

        Raises UserError naming a character that the model does not know.
        """
        ids = np.concatenate([self.vocabulary.encode(TUNE_START), self.vocabulary.encode(text)])
        state = self.initial_state(1)
        if len(ids) > 1:
            state, _ = self.read(ids[None, :-1], state)
        return state, int(ids[-1])

    def sample(
        self,
        state: State,
        last: np.ndarray,
        uniforms: np.ndarray,
        temperature: np.ndarray,
        top_k: np.ndarray,
        top_p: np.ndarray,
    ) -> tuple[np.ndarray, State]:
        """Writes K more characters of each tune: ids (B, K) int64, and the state before the last of them is read.

        last: (B,) int64, each tune's last character so far. uniforms: (B, K) float32 in [0, 1), K from 1.
        temperature: (B,) float32 above 0. top_k: (B,) int64, 1 to V (V: no limit). top_p: (B,) float32 above 0, up to
        1 (no limit). What they mean is said in graphs.sampling_graph.
        """
        settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        written = []
        for part in self._calls(uniforms):
            ids, *after = self._sampler.run(None, {"last": last, "uniforms": part, **settings, **state.named()})
            state, last = State(*after), ids[:, -1]
            written.append(ids)
        return np.concatenate(written, axis=1), state

    def _calls(self, values: np.ndarray) -> list[np.ndarray]:
        """values (B, T) in pieces as long as one call of a graph may be."""
        return [
            values[:, first : first + self._longest_call] for first in range(0, values.shape[1], self._longest_call)
        ]


@dataclass(frozen=True)
class Request:
    """A tune to write. The same request and bundle give the same tune."""

    seed: int
    start: str = ""
    """What the tune begins with, such as headers: X:1, M:6/8, K:D Major, each with its line end."""
    temperature: float = 1.0
    top_k: int = 0
    """Only the k likeliest characters are picked from; 0 for no limit."""
    top_p: float = 1.0
    """Only the likeliest characters that together hold this share are picked from; 1 for no limit."""
    max_length: int = 1000
    """Characters, the start and forced ones included."""
    forced: Mapping[int, str] = field(default_factory=dict)
    """Text the tune must have at the start of these lines (from 0); the model writes the rest."""

    def __post_init__(self) -> None:
        """Raises UserError naming the field that is out of range (NaN is)."""
        for name, low, high in (
            ("seed", 0, SEEDS - 1),
            ("temperature", 0.01, 100),
            ("top_k", 0, 2**31),
            ("top_p", 0.001, 1),
            ("max_length", 1, 2**31),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} is {value}: it must be from {low} to {high}")
        if TUNE_END in TUNE_START + self.start:
            raise UserError("start holds an empty line, which ends a tune: leave it out")
        if len(self.start) >= self.max_length:
            raise UserError(f"start has {len(self.start)} characters: max_length must be more, not {self.max_length}")


class Draft:
    """One tune being written."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.written = request.start
        self.ended = False
        """The model wrote the tune's end itself."""
        self.cut = False
        """What was written last ends with forced text: the model has run on from elsewhere and must read it."""
        self._random = np.random.Generator(np.random.PCG64(request.seed))
        self._drawn = self._spare = np.empty(0, np.float32)
        if request.start.endswith("\n") or not request.start:
            self.written += self._forced()

    @property
    def finished(self) -> bool:
        """Ended, or as long as it may be."""
        return self.ended or len(self.written) >= self.request.max_length

    @property
    def text(self) -> str:
        return self.written.rstrip("\n") if self.ended else self.written

    def uniforms(self, count: int) -> np.ndarray:
        """The tune's next random numbers, one a character: (count,) float32 in [0, 1)."""
        more = self._random.random(max(0, count - len(self._spare)), dtype=np.float32)
        self._drawn, self._spare = np.split(np.concatenate([self._spare, more]), [count])
        return self._drawn

    def extend(self, characters: str) -> str:
        """Takes what was written up to the tune's end, or to where forced text begins, and drops the rest.

        Returns what was added, forced text included. Random numbers of dropped characters are drawn again.
        """
        before, self.cut = len(self.written), False
        for taken, character in enumerate(characters, start=1):
            if self.finished:
                break
            self.written += character
            self.ended = (TUNE_START + self.written).endswith(TUNE_END)
            forced = "" if self.ended or character != "\n" else self._forced()
            if forced:
                self.written += forced
                self.cut = True
                self._spare = np.concatenate([self._drawn[taken:], self._spare])
                break
        return self.written[before:]

    def _forced(self) -> str:
        """The forced text of the line that starts here, and of the lines after it while it fills them."""
        text, line = "", self.written.count("\n")
        while line in self.request.forced and (not text or text.endswith("\n")):
            text += self.request.forced[line]
            line = (self.written + text).count("\n")
        return text


class Batch:
    """Tunes written together, each joining and leaving when it likes."""

    def __init__(self, model: TuneModel) -> None:
        self.model = model
        self.drafts: list[Draft] = []
        self._state = model.initial_state(0)
        self._last = np.empty(0, np.int64)
        self._temperature = np.empty(0, np.float32)
        self._top_k = np.empty(0, np.int64)
        self._top_p = np.empty(0, np.float32)

    def join(self, draft: Draft) -> None:
        """Reads the draft's start and adds it as the last row. Raises UserError on a character the model lacks."""
        state, last = self.model.start(draft.written)
        request, characters = draft.request, len(self.model.vocabulary)
        self.drafts.append(draft)
        self._state = State.stack([self._state, state])
        self._last = np.append(self._last, last)
        self._temperature = np.append(self._temperature, np.float32(request.temperature))
        self._top_k = np.append(self._top_k, min(request.top_k or characters, characters))
        self._top_p = np.append(self._top_p, np.float32(request.top_p))

    def step(self, count: int | None = None) -> list[str]:
        """Writes up to `count` characters (by default the bundle's) of every draft; returns each one's new text."""
        uniforms = np.stack([draft.uniforms(count or self.model.steps_per_call) for draft in self.drafts])
        before, last = self._state, self._last
        ids, self._state = self.model.sample(before, last, uniforms, self._temperature, self._top_k, self._top_p)
        self._last = ids[:, -1].copy()
        texts = []
        for row, draft in enumerate(self.drafts):
            texts.append(draft.extend(self.model.vocabulary.decode(ids[row])))
            if draft.cut:
                self._read_again(row, before.rows([row]), int(last[row]), texts[-1])
        return texts

    def _read_again(self, row: int, before: State, last: int, text: str) -> None:
        """Puts a row's state after a text that follows the character `last`, rather than after what was sampled."""
        read = np.concatenate([[last], self.model.vocabulary.encode(text)])
        state, _ = self.model.read(read[None, :-1], before)
        self._state.put(row, state)
        self._last[row] = read[-1]

    def leave(self, leaving: Iterable[Draft]) -> None:
        """Frees the rows of these drafts; the others keep their order."""
        gone = {id(draft) for draft in leaving}
        rows = [row for row, draft in enumerate(self.drafts) if id(draft) not in gone]
        if len(rows) == len(self.drafts):
            return
        self.drafts = [self.drafts[row] for row in rows]
        self._state = self._state.rows(rows)
        self._last, self._temperature = self._last[rows], self._temperature[rows]
        self._top_k, self._top_p = self._top_k[rows], self._top_p[rows]


def generate(model: TuneModel, requests: Sequence[Request], batch: int = 32) -> list[str]:
    """The requests' tunes, in their order, at most `batch` at a time. Raises UserError on an unknown character."""
    drafts = [Draft(request) for request in requests]
    waiting, together = deque(drafts), Batch(model)
    while waiting or together.drafts:
        while waiting and len(together.drafts) < batch:
            together.join(waiting.popleft())
        together.step()
        together.leave([draft for draft in together.drafts if draft.finished])
    return [draft.text for draft in drafts]


def sample_seed(seed: int, index: int, attempt: int) -> int:
    """The seed of attempt `attempt` at tune `index` of a request: its own for the very first.

    So a tune that was returned is made again by asking for its own seed.
    """
    if index == attempt == 0:
        return seed
    high, low = np.random.SeedSequence([seed, index, attempt]).generate_state(2)
    return (int(high) << 32 | int(low)) % SEEDS


@dataclass(frozen=True)
class CheckedTune:
    """problems: what abc_notation.check finds, [] for a valid tune.  attempts: how many tunes were written for it."""

    text: str
    problems: tuple[str, ...]
    attempts: int


def generate_valid(model: TuneModel, requests: Sequence[Request], attempts: int, batch: int = 32) -> list[CheckedTune]:
    """As `generate`, but writes an invalid tune again, as the API does: from other seeds, up to `attempts` tunes.

    The first valid attempt counts, so the answer is the same whatever else is asked for; where none is valid the
    last one is returned with its problems.
    """
    tunes: dict[int, CheckedTune] = {}
    for attempt in range(attempts):
        open_ones = [index for index in range(len(requests)) if index not in tunes or tunes[index].problems]
        again = [replace(requests[index], seed=sample_seed(requests[index].seed, 0, attempt)) for index in open_ones]
        texts = generate(model, again, batch)
        for index, text in zip(open_ones, texts, strict=True):
            tunes[index] = CheckedTune(text, tuple(abc_notation.check(text)), attempt + 1)
    return [tunes[index] for index in range(len(requests))]

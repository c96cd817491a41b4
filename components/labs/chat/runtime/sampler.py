"""Writes answers with an exported model, many at a time: numpy and onnxruntime, no torch.

An `Answer` holds its own random numbers and its own text; a `Batch` reads prompts in stretches and writes one token of
every answer a step. Evaluation and the API write with the same two classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.datasets.styles.template_reader import Message, Template
from components.errors import UserError
from components.labs.chat.params import Sampling
from components.labs.chat.runtime.model import ChatModel, Prompt

SEEDS = 2**53
"""How many seeds there are: more than that JavaScript cannot tell apart."""
REPLACEMENT = "\ufffd"
LONGEST_CHARACTER = 8
"""Tokens that are held back at most for a character to become whole."""

Reason = Literal["stop", "length"]


@dataclass(frozen=True)
class AnswerRequest:
    """An answer to write. style: whose adapter writes it; None for the base alone.

    repeatable: whether the answer is the same whatever is written beside it. onnxruntime rounds a single row otherwise
    than a row of several, so an answer that is alone is then computed as two rows, which takes longer.
    """

    prompt: Prompt
    style: str | None
    sampling: Sampling
    seed: int
    repeatable: bool = True


def ask(
    model: ChatModel,
    messages: Sequence[Message],
    style: str,
    sampling: Sampling,
    seed: int,
    repeatable: bool = True,
) -> AnswerRequest:
    """A request for an answer in a style, or for a plain one, which the base writes without an adapter.

    A system message of one's own takes the place of the style's. Raises UserError where the messages leave no room for
    an answer of one token.
    """
    instruction = model.instructions.get(style)
    if instruction is None:
        raise UserError(f"there is no style {style}; there are {', '.join(model.instructions)}")
    if not messages or messages[0].role != "system":
        messages = [Message("system", instruction), *messages]
    prompt = model.prompt(messages)
    count = len(prompt.tokens)
    if count >= model.context:
        raise UserError(f"the messages are {count} tokens; the model reads {model.context}, its answer included")
    return AnswerRequest(prompt, style if style in model.styles else None, sampling, seed, repeatable)


class Answer:
    """An answer being written."""

    def __init__(self, request: AnswerRequest, model: ChatModel) -> None:
        self.request = request
        self.tokens: list[int] = []
        self.read = 0
        """Tokens of the prompt that are read."""
        self.finished: Reason | None = None
        """Why it has ended: the model ended it, or it is as long as it may be."""
        self.text = ""
        """Whole characters only."""
        self._template: Template = model.template
        self._room = min(request.sampling.max_tokens, model.context - len(request.prompt.tokens))
        self._random = np.random.Generator(np.random.PCG64(request.seed))
        self._pending: list[int] = []
        self._told = 0

    @property
    def length(self) -> int:
        """Tokens that its slot holds."""
        return self.read + max(0, len(self.tokens) - 1)

    def new_text(self) -> str:
        """What was written since this was last asked for."""
        new, self._told = self.text[self._told :], len(self.text)
        return new

    def take(self, logits: NDArray[np.float32]) -> None:
        """Chooses the next token from logits (vocabulary,)."""
        token = choose(logits, self.request.sampling, self.tokens, self._random)
        if token == self._template.end:
            self.finished = "stop"
            self._flush()
            return
        self.tokens.append(token)
        self._pending.append(token)
        if len(self.tokens) >= self._room:
            self.finished = "length"
        piece = self._template.decode(self._pending)
        if not piece.endswith(REPLACEMENT) or len(self._pending) >= LONGEST_CHARACTER:
            self.text += piece
            self._pending = []
        if self.finished:
            self._flush()

    def _flush(self) -> None:
        """Half a character at the end is left out."""
        self.text += self._template.decode(self._pending).rstrip(REPLACEMENT)
        self._pending = []


def choose(logits: NDArray[np.float32], sampling: Sampling, written: Sequence[int], random: np.random.Generator) -> int:
    """The next token. The repetition penalty (Keskar et al. 2019) is of the answer's own tokens alone."""
    if sampling.repetition_penalty != 1 and written:
        logits = logits.copy()
        seen = np.unique(np.array(written))
        values = logits[seen]
        penalty = sampling.repetition_penalty
        logits[seen] = np.where(values > 0, values / penalty, values * penalty)
    if sampling.temperature == 0:
        return int(logits.argmax())
    count = min(sampling.top_k or len(logits), len(logits))
    kept = np.argpartition(-logits, count - 1)[:count] if count < len(logits) else np.arange(len(logits))
    kept = kept[np.lexsort((kept, -logits[kept]))]
    powers = np.exp((logits[kept] - logits[kept[0]]).astype(np.float64) / sampling.temperature)
    shares = np.cumsum(powers / powers.sum())
    if sampling.top_p < 1:
        shares = shares[: int(np.searchsorted(shares, sampling.top_p)) + 1]
    place = int(np.searchsorted(shares, random.random() * shares[-1], side="right"))
    return int(kept[min(place, len(shares) - 1)])


AnswerT = TypeVar("AnswerT", bound=Answer)


class Batch(Generic[AnswerT]):
    """Answers that are written together: the answer at a place of the list has the model's slot of that number.

    stretch: tokens of one prompt that are read in a step, so that a long prompt stalls nobody.
    """

    def __init__(self, model: ChatModel, stretch: int) -> None:
        self.model, self.stretch = model, stretch
        self.answers: list[AnswerT] = []
        self.written = 0
        """Tokens written since the start."""

    def __len__(self) -> int:
        return len(self.answers)

    def __iter__(self) -> Iterator[AnswerT]:
        return iter(self.answers)

    def join(self, answer: AnswerT) -> None:
        """Raises ValueError where every slot is taken."""
        if len(self.answers) >= self.model.slots:
            raise ValueError("every slot is taken")
        answer.read = self.model.begin(len(self.answers), answer.request.prompt.tokens, answer.request.style)
        self.answers.append(answer)

    def leave(self, gone: Iterable[AnswerT]) -> None:
        """Frees slots; the last answer moves into each."""
        for answer in gone:
            place, last = self.answers.index(answer), len(self.answers) - 1
            if place != last:
                self.model.move(last, place, self.answers[last].length)
                self.answers[place] = self.answers[last]
            self.answers.pop()

    def step(self) -> list[AnswerT]:
        """Reads a stretch of the first unread prompt, and writes a token of every answer whose prompt is read.

        Returns the answers that have news; those that are finished have left.
        """
        writing = [place for place, answer in enumerate(self.answers) if answer.tokens]
        reading = next((place for place, answer in enumerate(self.answers) if not answer.tokens), None)
        news = [self.answers[place] for place in writing]
        if writing:
            self._write(writing)
        if reading is not None and self._read(reading):
            news.append(self.answers[reading])
        self.leave([answer for answer in news if answer.finished])
        return news

    def _write(self, writing: Sequence[int]) -> None:
        """The slots of answers that are still read get a token too, which the next stretch overwrites."""
        count = writing[-1] + 1
        if count == 1 < self.model.slots and self.answers[0].request.repeatable:
            count = 2
        rows = self.answers[:count]
        rows += rows[:1] * (count - len(rows))  # into a slot that is free
        tokens = [answer.tokens[-1] if answer.tokens else 0 for answer in rows]
        positions = [min(answer.length, self.model.context - 1) for answer in rows]
        styles = [answer.request.style for answer in rows]
        logits = self.model.step(np.array(tokens, np.int64), np.array(positions, np.int32), styles)
        for place in writing:
            self.answers[place].take(logits[place])
        self.written += len(writing)

    def _read(self, place: int) -> bool:
        """Whether the prompt is read, and the answer's first token written."""
        answer = self.answers[place]
        tokens, instruction = answer.request.prompt
        question = answer.read >= instruction
        end = min(answer.read + self.stretch, len(tokens) if question else instruction)
        logits = self.model.read(place, tokens[answer.read : end], answer.read, answer.request.style, question=question)
        answer.read = end
        if end < len(tokens):
            return False
        answer.take(logits[0])
        self.written += 1
        return True


def write_all(model: ChatModel, requests: Sequence[AnswerRequest], stretch: int = 256) -> list[Answer]:
    """The answers to requests, in their order, as many together as the model has slots."""
    answers = [Answer(request, model) for request in requests]
    batch: Batch[Answer] = Batch(model, stretch)
    waiting = list(reversed(answers))
    while waiting or len(batch):
        while waiting and len(batch) < model.slots:
            batch.join(waiting.pop())
        batch.step()
    return answers

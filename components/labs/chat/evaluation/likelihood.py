"""Bits per byte of texts under the exported model, read as the API reads prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from components.datasets.styles.reader import PLAIN, Conversation
from components.datasets.styles.template_reader import Message
from components.labs.chat.runtime.model import ChatModel


class Likelihood(NamedTuple):
    """Likelihood of one answer, the mark of its end included: nats, tokens, bytes."""

    nats: float
    tokens: int
    size: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / log(2) / max(1, self.size)

    @property
    def nats_per_token(self) -> float:
        return self.nats / max(1, self.tokens)


def total(found: Iterable[Likelihood]) -> Likelihood:
    return Likelihood(*(sum(values) for values in zip(*found, strict=True)))


def of_answers(
    model: ChatModel, conversations: Iterable[Conversation], kind: str, style: str | None, most: int
) -> list[Likelihood]:
    """Likelihoods of the first `most` answers of a kind under the model with a style's adapter, asked for with the
    kind's instruction; or with style None under the base, which is asked plainly."""
    instruction = model.instructions[kind if style else PLAIN]
    asked = [(each.question, each.answers[kind]) for each in conversations if kind in each.answers][:most]
    return [of_answer(model, instruction, question, answer, style) for question, answer in asked]


def of_answer(model: ChatModel, instruction: str, question: str, answer: str, style: str | None) -> Likelihood:
    """An answer that exceeds the context is cut off."""
    prompt = model.prompt([Message("system", instruction), Message("user", question)])
    tokens = model.template.answer(answer)[: model.context - len(prompt.tokens)]
    logits = model.read_prompt(0, prompt, style)
    if len(tokens) > 1:
        logits = np.concatenate([logits, model.read(0, tokens[:-1], len(prompt.tokens), style, every=True)])
    return Likelihood(float(nats(logits, tokens).sum()), len(tokens), len(answer.encode()))


def nats(logits: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
    """Negative log-likelihood (T,) of tokens under logits (T, vocabulary)."""
    values = logits.astype(np.float64)
    highest = values.max(axis=1)
    sums = highest + np.log(np.exp(values - highest[:, None]).sum(axis=1))
    return np.asarray(sums - values[np.arange(len(tokens)), np.array(tokens)])

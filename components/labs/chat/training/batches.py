"""Batches of conversations, of which only the answers count in the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from components.datasets.styles.reader import KINDS, Conversation, read_conversations
from components.datasets.styles.template_reader import Message, Template
from components.errors import UserError
from components.labs.chat.params import Train
from components.training.epochs import SEEDS, Epoch, EpochData, epoch_seed, generator

IGNORED = -100
"""The target of a token that is no part of an answer."""


class Batch(NamedTuple):
    """ids (B, T) int64, filled up with zeros; targets (B, T): the token that follows, or IGNORED; lengths (B,);
    size (B,): bytes of each answer; kind (B,): its place in KINDS."""

    ids: Tensor
    targets: Tensor
    lengths: Tensor
    size: Tensor
    kind: Tensor


class Example(NamedTuple):
    """prompt: tokens before the answer. answer: its tokens and the mark of its end. size: its bytes."""

    kind: str
    prompt: list[int]
    answer: list[int]
    size: int


def examples(
    conversations: Iterable[Conversation], kind: str, template: Template, params: Train, most: int
) -> list[Example]:
    """Answers of a kind, asked for with the kind's instruction; conversations of more than `most` tokens left out."""
    found = []
    for conversation in conversations:
        if kind in conversation.answers:
            text = conversation.answers[kind]
            asked = [Message("system", params.instructions[kind]), Message("user", conversation.question)]
            example = Example(kind, template.prompt(asked), template.answer(text), len(text.encode()))
            if len(example.prompt) + len(example.answer) <= most:
                found.append(example)
    return found


class ChatData(EpochData[Batch]):
    """A step's answers are of each kind in the shares of `params.mix`; every answer is seen before one comes again."""

    def __init__(self, prepared: Path, template: Template, params: Train) -> None:
        super().__init__()
        self.params = params
        training, validation = (read_conversations(prepared, split) for split in ("train", "validation"))
        self.training = {kind: examples(training, kind, template, params, params.max_tokens) for kind in KINDS}
        self.validation = {
            kind: examples(validation, kind, template, params, params.max_tokens)[: params.validation] for kind in KINDS
        }
        for name, found in (("training", self.training), ("validation", self.validation)):
            if empty := [kind for kind, answers in found.items() if not answers]:
                raise UserError(f"{prepared}: no {name} answer of the kind {empty[0]} has {params.max_tokens} tokens")

    def epoch(self, epoch: int) -> Epoch[Batch]:
        count = self.params.steps * self.params.batch_size
        kinds = _kinds(self.params.mix, count)
        drawn = [example for kind, many in kinds.items() for example in self._next(kind, epoch * many, many)]
        order = torch.randperm(count, generator=generator(epoch_seed(self.params.seed, epoch)))
        rows = list(order.split(self.params.batch_size))
        return Epoch(rows, lambda index, chosen: collate([drawn[place] for place in chosen.tolist()]))

    def validation_batches(self) -> list[Batch]:
        found = [example for answers in self.validation.values() for example in answers]
        size = self.params.batch_size
        return [collate(found[first : first + size]) for first in range(0, len(found), size)]

    def _next(self, kind: str, first: int, count: int) -> list[Example]:
        """`count` answers of a kind from number `first` on, of shuffled passes over all."""
        answers = self.training[kind]
        found = []
        while count:
            lap, place = divmod(first, len(answers))
            seed = (epoch_seed(self.params.seed, lap) + KINDS.index(kind)) % SEEDS
            order = torch.randperm(len(answers), generator=generator(seed)).tolist()
            part = order[place : place + count]
            found += [answers[index] for index in part]
            first, count = first + len(part), count - len(part)
        return found


def _kinds(mix: Mapping[str, float], count: int) -> dict[str, int]:
    """How many of `count` answers are of each kind."""
    ends, total = {}, 0.0
    for kind in KINDS:
        start, total = round(total * count), total + mix[kind]
        ends[kind] = round(total * count) - start
    return ends


def collate(chosen: Sequence[Example]) -> Batch:
    longest = max(len(example.prompt) + len(example.answer) for example in chosen)
    ids = torch.zeros(len(chosen), longest, dtype=torch.long)
    targets = torch.full((len(chosen), longest), IGNORED)
    for row, example in enumerate(chosen):
        tokens = torch.tensor(example.prompt + example.answer)
        ids[row, : len(tokens)] = tokens
        first = len(example.prompt)
        targets[row, first - 1 : len(tokens) - 1] = tokens[first:]
    return Batch(
        ids,
        targets,
        torch.tensor([len(example.prompt) + len(example.answer) for example in chosen]),
        torch.tensor([example.size for example in chosen]),
        torch.tensor([KINDS.index(example.kind) for example in chosen]),
    )

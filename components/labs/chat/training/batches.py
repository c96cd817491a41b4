"""Batches of conversations, of which only the answers count in the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from components.datasets.styles.reader import (
    KINDS,
    PLAIN,
    STYLES,
    Conversation,
    Line,
    read_conversations,
    read_style_lines,
)
from components.datasets.styles.template_reader import Message, Template
from components.errors import UserError
from components.labs.chat.params import Train
from components.labs.chat.training import word_order
from components.training.epochs import SEEDS, Epoch, EpochData, epoch_seed, generator

IGNORED = -100
"""The target of a token that is no part of an answer."""


class Batch(NamedTuple):
    """ids (B, T) int64, filled up with zeros; targets (B, T): the token that follows, or IGNORED; lengths (B,);
    size (B,): bytes of each answer; kind (B,): its place in KINDS; style (B,): the place in STYLES of its adapter."""

    ids: Tensor
    targets: Tensor
    lengths: Tensor
    size: Tensor
    kind: Tensor
    style: Tensor


class Example(NamedTuple):
    """prompt: tokens before the answer. answer: its tokens and the mark of its end. size: its bytes. style: whose
    adapter learns it."""

    kind: str
    style: str
    prompt: list[int]
    answer: list[int]
    size: int


def examples(
    conversations: Iterable[Conversation], kind: str, template: Template, params: Train, most: int
) -> list[Example]:
    """Answers of a kind, asked for with the kind's instruction; conversations of more than `most` tokens left out.

    Plain answers are of the first style until `ChatData` shares them out.
    """
    style = STYLES[0] if kind == PLAIN else kind
    found = []
    for conversation in conversations:
        if kind in conversation.answers:
            text = conversation.answers[kind]
            asked = [Message("system", params.instructions[kind]), Message("user", conversation.question)]
            example = Example(kind, style, template.prompt(asked), template.answer(text), len(text.encode()))
            if len(example.prompt) + len(example.answer) <= most:
                found.append(example)
    return found


def unpaired(lines: Iterable[Line], style: str, template: Template, params: Train) -> list[Example]:
    """Lines of a style whose question is not known, as answers to a request for something in the style."""
    asked = [Message("system", params.instructions[style]), Message("user", params.unpaired_request)]
    prompt = template.prompt(asked)
    found = [
        Example(style, style, prompt, template.answer(line.text), len(line.text.encode()))
        for line in lines
        if line.style == style
    ]
    return [each for each in found if len(prompt) + len(each.answer) <= params.max_tokens]


def reordered(conversations: Iterable[Conversation]) -> list[Conversation]:
    """Those whose plain answer can be put into Yoda's order, with that as Yoda's answer."""
    pairs = [(each, word_order.with_the_verb_last(each.question, each.answers[PLAIN])) for each in conversations]
    return [each._replace(answers={word_order.STYLE: text}) for each, text in pairs if text]


class ChatData(EpochData[Batch]):
    """An epoch's answers are of each kind in the shares of `params.mix`. Of a style, the share `params.unpaired` are
    lines whose question is not known, and of Yoda the share `params.reordered` are plain answers in his word order.
    Every answer is seen before one comes again.

    Plain answers keep the adapters from forgetting, and each adapter learns as large a share of them as of the styled.
    Validation reads them with the first style's.
    """

    def __init__(self, prepared: Path, template: Template, params: Train) -> None:
        super().__init__()
        self.params = params
        training, validation = (read_conversations(prepared, split) for split in ("train", "validation"))
        self.training = {kind: examples(training, kind, template, params, params.max_tokens) for kind in KINDS}
        lines = read_style_lines(prepared)
        self.lines = {style: unpaired(lines, style, template, params) for style in STYLES}
        moved = examples(reordered(training), word_order.STYLE, template, params, params.max_tokens)
        self.moved = {word_order.STYLE: moved}
        self.validation = {
            kind: examples(validation, kind, template, params, params.max_tokens)[: params.validation] for kind in KINDS
        }
        for name, found in (("training", self.training), ("validation", self.validation)):
            if empty := [kind for kind, answers in found.items() if not answers]:
                raise UserError(f"{prepared}: no {name} answer of the kind {empty[0]} has {params.max_tokens} tokens")

    def epoch(self, epoch: int) -> Epoch[Batch]:
        count = self.params.steps * self.params.batch_size
        kinds = divided({kind: self.params.mix[kind] for kind in KINDS}, count)
        drawn = {kind: self._drawn(kind, epoch, many) for kind, many in kinds.items()}
        owners = divided({style: self.params.mix[style] for style in STYLES}, kinds[PLAIN])
        styles = [style for style, many in owners.items() for _ in range(many)]
        drawn[PLAIN] = [each._replace(style=style) for each, style in zip(drawn[PLAIN], styles, strict=True)]
        found = [example for examples in drawn.values() for example in examples]
        order = torch.randperm(count, generator=generator(epoch_seed(self.params.seed, epoch)))
        rows = list(order.split(self.params.batch_size))
        return Epoch(rows, lambda index, chosen: collate([found[place] for place in chosen.tolist()]))

    def validation_batches(self) -> list[Batch]:
        found = [example for answers in self.validation.values() for example in answers]
        size = self.params.batch_size
        return [collate(found[first : first + size]) for first in range(0, len(found), size)]

    def _drawn(self, kind: str, epoch: int, count: int) -> list[Example]:
        sources = [
            (self.lines.get(kind, []), self.params.unpaired),
            (self.moved.get(kind, []), self.params.reordered),
        ]
        found: list[Example] = []
        for answers, share in sources:
            many = round(share * count) if answers else 0
            found += self._next(answers, kind, epoch * many, many)
        left = count - len(found)
        return self._next(self.training[kind], kind, epoch * left, left) + found

    def _next(self, answers: Sequence[Example], kind: str, first: int, count: int) -> list[Example]:
        """`count` answers of a kind from number `first` on, of shuffled passes over all."""
        found: list[Example] = []
        while count:
            lap, place = divmod(first, len(answers))
            seed = (epoch_seed(self.params.seed, lap) + KINDS.index(kind)) % SEEDS
            order = torch.randperm(len(answers), generator=generator(seed)).tolist()
            part = order[place : place + count]
            found += [answers[index] for index in part]
            first, count = first + len(part), count - len(part)
        return found


def divided(shares: Mapping[str, float], count: int) -> dict[str, int]:
    """`count` divided in proportion to shares, which need not add up to 1."""
    found, total, start = {}, 0.0, 0
    for name, share in shares.items():
        total += share
        end = round(total / sum(shares.values()) * count)
        found[name], start = end - start, end
    return found


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
        torch.tensor([STYLES.index(example.style) for example in chosen]),
    )

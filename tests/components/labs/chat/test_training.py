"""The adapters learn, the batches keep their mix, and what is measured is of answers alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from components.datasets.styles.reader import KINDS, PLAIN, STYLES
from components.datasets.styles.template_reader import Template
from components.errors import UserError
from components.labs.chat.evaluation.judge import Overlap, StyleJudge, is_degenerate
from components.labs.chat.training.base import read_base
from components.labs.chat.training.batches import IGNORED, ChatData
from components.labs.chat.training.model import Lion
from tests.chat_model import make_model, params

MIX = {"yoda": 0.5, "leprechaun": 0.15, "plain": 0.35}


@pytest.fixture
def data(base_folder: Path, prepared: Path) -> ChatData:
    asked = params().train.model_copy(
        update={"max_tokens": 900, "steps": 5, "batch_size": 4, "mix": MIX, "unpaired": 0.5, "reordered": 0.25}
    )
    return ChatData(prepared, Template(read_base(base_folder).tokenizer), asked)


def test_an_epoch_has_the_mix_and_is_a_function_of_its_number(data: ChatData) -> None:
    kinds = torch.cat([batch.kind for batch in data.epoch(0)])
    assert [int((kinds == place).sum()) for place in range(len(KINDS))] == [10, 3, 7]
    plain = torch.cat([batch.style[batch.kind == KINDS.index(PLAIN)] for batch in data.epoch(0)])
    assert [int((plain == place).sum()) for place in range(len(STYLES))] == [5, 2], "each adapter reads plain ones too"
    again, other = ([batch.ids for batch in data.epoch(number)] for number in (0, 1))
    assert all(torch.equal(batch.ids, same) for batch, same in zip(data.epoch(0), again, strict=True))
    assert [ids.shape for ids in again] != [ids.shape for ids in other] or not torch.equal(again[0], other[0])


def test_of_yodas_answers_a_share_are_plain_ones_in_his_word_order(data: ChatData) -> None:
    moved = {tuple(example.prompt + example.answer) for example in data.moved["yoda"]}
    assert moved
    yoda, leprechaun = (data._drawn(style, 0, 8) for style in STYLES)
    found = [tuple(example.prompt + example.answer) in moved for example in yoda]
    assert sum(found) == round(8 * data.params.reordered) > 0
    assert {example.kind for example in yoda} == {"yoda"}
    assert not any(tuple(example.prompt + example.answer) in moved for example in leprechaun)


def test_only_answers_count(data: ChatData) -> None:
    for batch in data.validation_batches():
        for ids, targets, length in zip(batch.ids, batch.targets, batch.lengths, strict=True):
            counted = (targets != IGNORED).nonzero()[:, 0]
            assert counted[-1] == length - 2, "the last target is the mark of the end"
            assert torch.equal(targets[counted], ids[counted + 1])


@pytest.mark.parametrize("optimizer", ["adamw", "lion"])
def test_adapters_learn_what_they_are_shown(optimizer: str, base_folder: Path, data: ChatData) -> None:
    model = make_model(base_folder)
    parameters = list(model.parameters())
    kind = Lion(parameters, 3e-3, 0.0) if optimizer == "lion" else torch.optim.AdamW(parameters, lr=1e-2)
    batch, losses = data.epoch(0)[0], []
    for _ in range(12):
        loss = model._nats(batch).mean()
        kind.zero_grad()
        loss.backward()
        kind.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_conversations_that_are_all_too_long_are_one_line(base_folder: Path, prepared: Path) -> None:
    asked = params().train.model_copy(update={"max_tokens": 20})
    with pytest.raises(UserError, match="no training answer of the kind yoda has 20 tokens"):
        ChatData(prepared, Template(read_base(base_folder).tokenizer), asked)


def test_the_judge_reads_the_order_of_words_where_all_words_are_the_same() -> None:
    plain = [f"{thing} is strong in this." for thing in ("Gold", "Tea", "Paris", "Iron", "Rain", "Bread")]
    yoda = [f"Strong in this, {thing.lower()} is." for thing in ("Gold", "Tea", "Paris", "Iron", "Rain", "Bread")]
    judge = StyleJudge(plain[1:] + yoda[1:], ["plain"] * 5 + ["yoda"] * 5)
    assert judge.kinds([plain[0], yoda[0]]) == ["plain", "yoda"]


def test_repetition_and_silence_are_degenerate() -> None:
    judge = params().evaluate.judge
    assert not is_degenerate("Strong with the Force, you are. Learn, you must.", judge)
    assert is_degenerate("Hmm", judge)
    assert is_degenerate("go go go go now", judge)
    assert is_degenerate("yes, it is, yes, it is, yes, it is, yes, it is", judge)


def test_memory_is_the_longest_shared_run_of_words() -> None:
    overlap = Overlap(["one two three four five six", "nothing here"], 3)
    assert overlap.longest("zero one two three four, done") == 4
    assert overlap.longest("one two nothing here") == 0

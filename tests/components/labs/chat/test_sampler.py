"""Answers: the same alone and among others, whole characters only, and chosen as the request says."""

from __future__ import annotations

from itertools import combinations
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from components.bundle import Bundle
from components.datasets.styles.template_reader import Message
from components.errors import BundleError, UserError
from components.labs.chat.evaluation.likelihood import nats, of_answer
from components.labs.chat.params import Sampling
from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import Answer, Batch, ask, choose, write_all

GREEDY = Sampling(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.2, max_tokens=12)
BOLD = GREEDY.model_copy(update={"temperature": 1.0})
QUESTIONS = [
    "What is gold?",
    "Tea?",
    "Why is the sky blue, and why does it rain so often?",
    "Hi",
    "What is ice?",
]


def test_answers_written_together_are_those_written_alone(bundle: Bundle) -> None:
    together, alone = ChatModel.load(bundle, slots=3), ChatModel.load(bundle, slots=1)
    requests = [
        ask(together, [Message("user", question)], style, sampling, seed)
        for seed, (question, style, sampling) in enumerate(
            zip(
                QUESTIONS,
                ["yoda", "plain", "leprechaun", "plain", "yoda"],
                [GREEDY, BOLD, BOLD, GREEDY, BOLD],
                strict=True,
            )
        )
    ]
    wanted = [write_all(alone, [request])[0] for request in requests]
    for stretch in (7, 400):
        found = write_all(together, requests, stretch)
        assert [answer.tokens for answer in found] == [answer.tokens for answer in wanted]
    assert len({tuple(answer.tokens) for answer in wanted}) > 1


def test_a_repeatable_answer_is_never_computed_as_a_single_row(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime rounds a single row otherwise than a row of several: a seed would not be enough to repeat it."""
    model = ChatModel.load(bundle, slots=3)
    step = Mock(wraps=model.step)
    monkeypatch.setattr(model, "step", step)
    for repeatable, rows in ((True, 2), (False, 1)):
        step.reset_mock()
        write_all(model, [ask(model, [Message("user", "Tea?")], "yoda", GREEDY, 1, repeatable)])
        assert {len(call.args[0]) for call in step.call_args_list} == {rows}


def test_each_style_has_its_adapter_and_the_base_has_none(bundle: Bundle) -> None:
    model = ChatModel.load(bundle)
    ids = model.template.prompt([Message("user", "What is gold?")])
    yoda, leprechaun, off, again = (model.read(0, ids, 0, style) for style in ("yoda", "leprechaun", None, "yoda"))
    assert min(np.abs(one - other).max() for one, other in combinations((yoda, leprechaun, off), 2)) > 0.1
    assert np.array_equal(yoda, again)


def test_a_question_is_read_with_another_scale_of_the_adapter_than_its_answer(bundle: Bundle) -> None:
    template, scale = ChatModel.load(bundle).template, bundle.spec["adapter_scale"]
    half, none, equal = (
        ChatModel({**bundle.spec, "question_scale": share * scale}, bundle.session("float", 1), template, 1)
        for share in (0.5, 0, 1)
    )
    prompt = equal.prompt([Message("system", "You are terse."), Message("user", "What is gold?")])
    instruction, question = prompt.tokens[: prompt.instruction], prompt.tokens[prompt.instruction :]
    assert template.decode(instruction).split() == ["system", "You", "are", "terse.", "user"]

    whole = equal.read(0, prompt.tokens, 0, "yoda")
    assert np.abs(equal.read_prompt(0, prompt, "yoda") - whole).max() < 1e-3
    none.read(0, instruction, 0, "yoda")
    wanted = none.read(0, question, len(instruction), None)
    assert np.array_equal(none.read_prompt(0, prompt, "yoda"), wanted), "the base reads it"
    found = half.read_prompt(0, prompt, "yoda")
    assert min(np.abs(found - other).max() for other in (whole, wanted)) > 0.1
    base = half.read(0, prompt.tokens, 0, None)
    assert np.abs(half.read_prompt(0, prompt, None) - base).max() < 1e-3

    for model in (half, none, equal):
        request = ask(model, [Message("system", "You are terse."), Message("user", "What is gold?")], "yoda", GREEDY, 1)
        first = [write_all(model, [request], stretch)[0].tokens[0] for stretch in (3, 400)]
        assert first == [int(model.read_prompt(0, prompt, "yoda").argmax())] * 2


def test_the_likelihood_of_an_answer_is_that_of_writing_it(bundle: Bundle) -> None:
    model = ChatModel.load(bundle, variant="float")
    prompt = model.prompt([Message("system", "You are terse."), Message("user", "What is gold?")])
    answer = model.template.answer("A metal, gold is.")
    logits = [model.read_prompt(0, prompt, "yoda")]
    for place, token in enumerate(answer[:-1], len(prompt.tokens)):
        logits.append(model.step(np.array([token]), np.array([place], np.int32), ["yoda"]))
    wanted = nats(np.concatenate(logits), answer).sum()
    found = of_answer(model, "You are terse.", "What is gold?", "A metal, gold is.", "yoda")
    assert found.nats == pytest.approx(float(wanted), abs=1e-2)
    assert found.tokens == len(answer)


def test_the_int8_variant_rounds_and_computes_nearly_the_same(bundle: Bundle) -> None:
    ids = list(range(5, 25))
    exact, rounded = (ChatModel.load(bundle, variant=variant).read(0, ids, 0, "yoda") for variant in ("float", "int8"))
    assert 0 < np.abs(exact - rounded).max() < 0.2 * np.abs(exact).max()


def test_an_instruction_is_read_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    model, fresh = ChatModel.load(bundle), ChatModel.load(bundle)
    monkeypatch.setattr(fresh, "begin", lambda *given: 0)
    own = [Message("system", "You are terse."), Message("user", "What is gold?")]
    for messages, style in (([Message("user", "Tea?")], "yoda"), ([Message("user", "Tea?")], "plain"), (own, "yoda")):
        request = ask(model, messages, style, GREEDY, 1)
        assert write_all(model, [request])[0].tokens == write_all(fresh, [request])[0].tokens
        kept = model.begin(0, request.prompt.tokens, request.style)
        beginning = [
            *model.template.message(Message("system", model.instructions[style])),
            *model.template.opening("user"),
        ]
        if messages is own:  # only what every system message begins with
            assert len(model.template.opening("system")) <= kept < len(beginning)
            assert request.prompt.tokens[:kept] == beginning[:kept]
        else:
            assert kept == len(beginning)


def test_the_last_token_of_a_prompt_is_always_read(bundle: Bundle) -> None:
    """Nothing would be known of what follows it."""
    model = ChatModel.load(bundle)
    tokens = model.template.message(Message("system", model.instructions["yoda"]))
    assert model.begin(0, tokens, "yoda") == len(tokens) - 1


def test_an_answer_that_leaves_makes_room_and_disturbs_nobody(bundle: Bundle) -> None:
    model = ChatModel.load(bundle, slots=3)
    requests = [ask(model, [Message("user", question)], "yoda", GREEDY, 1) for question in QUESTIONS[:3]]
    wanted = write_all(model, [requests[2]])[0].tokens
    batch: Batch[Answer] = Batch(model, 500)
    answers = [Answer(request, model) for request in requests]
    for answer in answers:
        batch.join(answer)
    with pytest.raises(ValueError, match="every slot is taken"):
        batch.join(answers[0])
    for _ in range(5):
        batch.step()
    batch.leave([answer for answer in answers[:2] if answer in batch.answers])
    while len(batch):
        batch.step()
    assert answers[2].tokens == wanted


def test_half_a_character_is_never_told(bundle: Bundle) -> None:
    model = ChatModel.load(bundle)
    told: list[str] = []
    answer = Answer(ask(model, [Message("user", "x")], "yoda", BOLD, 1), model)
    tokens = model.template.text("é東🎉")
    for token in tokens:
        logits = np.zeros(model.vocabulary, np.float32)
        logits[token] = 1e9
        answer.take(logits)
        told.append(answer.new_text())
    assert "".join(told) == "é東🎉"[: len("".join(told))]
    assert "\ufffd" not in "".join(told)
    assert len("".join(told)) >= 2


def test_an_answer_ends_where_the_context_does(bundle: Bundle) -> None:
    model = ChatModel.load(bundle)
    with pytest.raises(UserError, match="tokens; the model reads 1024"):
        ask(model, [Message("user", "word " * 500)], "yoda", GREEDY, 1)
    with pytest.raises(UserError, match="there is no style pirate"):
        ask(model, [Message("user", "hi")], "pirate", GREEDY, 1)


def test_another_tokenizer_is_refused(bundle: Bundle) -> None:
    path = bundle.folder / "tokenizer.json"
    content = path.read_bytes()
    try:
        path.write_bytes(content + b" ")
        with pytest.raises(BundleError, match="is not the tokenizer"):
            ChatModel.load(bundle)
    finally:
        path.write_bytes(content)


@given(
    values=some.lists(some.floats(-30, 30, width=32), min_size=2, max_size=40, unique=True),
    top_k=some.integers(0, 50),
    top_p=some.floats(0.01, 1),
    temperature=some.floats(0, 5),
    seed=some.integers(0, 1000),
)
def test_a_token_is_among_those_that_the_request_allows(
    values: list[float], top_k: int, top_p: float, temperature: float, seed: int
) -> None:
    logits = np.array(values, np.float32)
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=1.0, max_tokens=1)
    token = choose(logits, sampling, [], np.random.default_rng(seed))
    order = list(np.argsort(-logits, kind="stable"))
    rank = order.index(token)
    assert rank == 0 or temperature > 0
    assert not top_k or rank < top_k
    if temperature > 0 and rank:
        powers = np.exp((logits[order] - logits[order[0]]).astype(float) / temperature)[: top_k or None]
        assert powers[:rank].sum() / powers.sum() <= top_p + 1e-6


def test_a_penalty_lowers_tokens_that_were_written() -> None:
    logits, draw = np.array([2.0, 1.9, -1.0], np.float32), np.random.default_rng(0)
    assert choose(logits, GREEDY, [], draw) == 0
    assert choose(logits, GREEDY, [0], draw) == 1
    assert choose(np.array([-1.0, -1.1], np.float32), GREEDY, [0], draw) == 1

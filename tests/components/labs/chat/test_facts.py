"""Factual questions: many, each asked once, none that gives its answer away, each with an answer that is right."""

from __future__ import annotations

import re

import pytest

from components.labs.chat.evaluation.evaluate import facts_lost_interval
from components.labs.chat.evaluation.facts import FACTS, is_right
from components.labs.chat.evaluation.validation_facts import VALIDATION_FACTS
from tests.chat_model import params

BOTH = FACTS + VALIDATION_FACTS
WORDS = re.compile(r"[^\W_]+|[+/-]")


def spellings(pattern: str) -> list[str]:
    """Answers that a pattern names: one of each alternative, as short as it may be."""
    plain = pattern.replace(r"\b", "").replace("[ií]", "í")
    return [re.sub(r".\?", "", alternative) for alternative in plain.split("|")]


def test_every_fact_is_asked_once() -> None:
    asked = [tuple(word.lower() for word in WORDS.findall(question)) for question, _ in BOTH]
    assert sorted(asked) == sorted(set(asked))
    assert len(FACTS) >= 297
    assert len(VALIDATION_FACTS) >= 261


def test_no_question_gives_its_answer_away() -> None:
    assert [(question, pattern) for question, pattern in BOTH if is_right(question, pattern)] == []


def test_every_answer_that_a_pattern_names_is_right() -> None:
    wrong = [
        (question, spelling)
        for question, pattern in BOTH
        for spelling in spellings(pattern)
        if not is_right(f"Hmm. {spelling}, it is.", pattern)
    ]
    assert wrong == []


def test_silence_is_the_right_answer_to_nothing() -> None:
    assert [question for question, pattern in BOTH for said in ("", "It is. Hmm!") if is_right(said, pattern)] == []


@pytest.mark.parametrize(
    ("answer", "pattern"),
    [("fe fi fo", r"\bFe\b"), ("It has 18 legs", r"\b8\b|eight"), ("Of great weight it is", "eight"), ("From", "Rom")],
)
def test_an_answer_inside_another_word_is_not_right(answer: str, pattern: str) -> None:
    assert not is_right(answer, pattern)


def test_a_right_answer_may_begin_a_longer_word_and_an_element_keeps_its_spelling() -> None:
    assert is_right("A composer, he was.", "compos|music")
    assert is_right("paris, the capital is.", "Paris")
    assert is_right("Fe, its symbol is", r"\bFe\b")


def test_evaluation_asks_every_fact() -> None:
    assert params().evaluate.facts == len(FACTS)


def test_lost_facts_are_counted_in_pairs() -> None:
    base = [("", True)] * 80 + [("", False)] * 20
    assert facts_lost_interval(base, base) == pytest.approx((-0.019, 0.019), abs=1e-3)
    fewer = [("", False)] * 10 + base[10:]
    low, high = facts_lost_interval(base, fewer)
    assert 0 < low < 0.1 < high

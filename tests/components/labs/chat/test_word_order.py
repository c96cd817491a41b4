"""Plain answers are put into Yoda's order by a rule, or left alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labs.chat.training.word_order import with_the_verb_last

ASKED = "What is the capital of France?"


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        (ASKED, "The capital of France is Paris.", "The capital of France, Paris is."),
        ("What are kites?", "Kites are toys that fly. They need wind.", "Kites, toys that fly are."),
        ("Who was she?", "Marie Curie was a physicist", "Marie Curie, a physicist was."),
        ("What is the capital city of Malaysia?", "Kuala Lumpur", "The capital city of Malaysia, Kuala Lumpur is."),
        ("Who were the first presidents?", "Adams and Jefferson.", "The first presidents, Adams and Jefferson were."),
    ],
)
def test_the_verb_moves_to_the_end(question: str, answer: str, expected: str) -> None:
    assert with_the_verb_last(question, answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "It is Paris.",
        "There are seven.",
        "What he said is wrong.",
        "Paris is not the capital.",
        "Run, jump and swim.",
        "The three are: red, green, blue.",
        "Birds fly south in winter.",
        f"The capital is {'very ' * 20}large.",
    ],
)
def test_a_sentence_that_the_rule_does_not_fit_is_left_alone(answer: str) -> None:
    assert with_the_verb_last("Why?", answer) is None


def test_a_name_is_no_answer_to_a_question_of_another_form() -> None:
    assert with_the_verb_last("Where is Paris?", "France") is None


WORDS = st.lists(st.sampled_from(["paris", "capital", "of", "the", "large", "Nile"]), min_size=1, max_size=6)


@given(WORDS, st.sampled_from(["is", "are", "was", "were"]), WORDS)
def test_no_word_is_lost_or_made(subject: list[str], verb: str, rest: list[str]) -> None:
    found = with_the_verb_last(ASKED, f"{' '.join(subject)} {verb} {' '.join(rest)}.")
    assert found is not None
    assert Counter(found.replace(",", "").rstrip(".").split()) == Counter([*subject, verb, *rest])

"""Plain answers in Yoda's word order, by a rule: short answers in the style whose content people wrote.

Fewer than 400 questions have an answer of Yoda, and an adapter that learns the style from lines without a question
forgets facts. "The capital of France is Paris." becomes "The capital of France, Paris is.": the verb moves to the end,
and what leads a small model to the answer still stands before it.
"""

from __future__ import annotations

import re

STYLE = "yoda"
"""Whose order it is."""
LONGEST_SUBJECT, LONGEST_REST, LONGEST_NAME = 10, 6, 5
"""Words."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_SENTENCE = re.compile(r'(?P<subject>[^,;:()"\n]{2,80}?) (?P<verb>is|are|was|were) (?P<rest>[^;:()"\n]{2,120}?)[.!]?')
_CLAUSE = re.compile(
    r"\b(that|which|who|whom|what|if|when|because|while|although|there|it|this|these|they|i|you|we|he|she|not|but)\b",
    re.IGNORECASE,
)
"""Words of a subject with a clause of its own, or that stands for something said before."""
_ASKED = re.compile(r"(?:What|Who|Which) (?P<verb>is|are|was|were) (?P<subject>the [^?]{3,80})\?", re.IGNORECASE)


def with_the_verb_last(question: str, answer: str) -> str | None:
    """The first sentence of a plain answer, its verb moved to its end; None where the rule does not fit.

    An answer that is a name alone gets subject and verb of its question: "What is the capital of Malaysia?" and "Kuala
    Lumpur" become "The capital of Malaysia, Kuala Lumpur is."
    """
    first = _SENTENCE_END.split(answer.strip())[0]
    found = _SENTENCE.fullmatch(first)
    if found:
        subject, rest = found["subject"], found["rest"]
        fits = not _CLAUSE.search(subject) and not rest.startswith("not ")
        if fits and len(subject.split()) <= LONGEST_SUBJECT and len(rest.split()) <= LONGEST_REST:
            return f"{subject}, {rest} {found['verb']}."
        return None
    asked, name = _ASKED.fullmatch(question.strip()), answer.strip().rstrip(".")
    if asked and len(name.split()) <= LONGEST_NAME and not re.search(r"[,\n]", name):
        subject = asked["subject"]
        return f"{subject[0].upper()}{subject[1:]}, {name} {asked['verb']}."
    return None

"""Tables that the step validate checks: a row for each styled line, each raw question, and each prepared answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.datasets.styles.prepare import normalised
from components.datasets.styles.raw import read_lines, read_rows
from components.datasets.styles.reader import FILE, PLAIN, SPLITS, Conversation, read_conversations
from components.files import read_json

if TYPE_CHECKING:
    import pandas as pd

ENGLISH = {"the", "of", "and", "to", "a", "in", "is", "it", "that", "for", "are", "was", "be", "as", "with", "i"}
"""Words that hardly any English text of some length lacks."""


def tables(raw: Path, prepared: Path) -> dict[str, pd.DataFrame]:
    """`lines`, `questions`, `answers` and `pairs`, by the names of their suites; faults are columns of 0 and 1."""
    import pandas as pd

    conversations = [each for split in SPLITS for each in read_conversations(prepared, split)]
    lines = [
        {"id": f"{style}:{number}", "style": style, "length": len(text), "english": _english(text)}
        for style, found in read_lines(raw).items()
        for number, text in enumerate(found, start=1)
    ]
    questions = [
        {"id": row.line, "question_length": len(row.question), "answer_length": len(row.answer)}
        for row in read_rows(raw)
    ]
    return {
        "lines": pd.DataFrame(lines),
        "questions": pd.DataFrame(questions),
        "answers": pd.DataFrame(_answers(conversations)),
        "pairs": pd.DataFrame([read_json(prepared / "report.json")["alignment"] | {"id": FILE}]),
    }


def _answers(conversations: list[Conversation]) -> list[dict[str, Any]]:
    """`held_out_question`: a training answer whose question a validation or test question repeats word for word."""
    held_out = {normalised(each.question) for each in conversations if each.split != "train"}
    return [
        {
            "id": f"{each.id}:{kind}",
            "split": each.split,
            "kind": kind,
            "question_length": len(each.question),
            "length": len(text),
            "words": len(normalised(text).split()),
            "held_out_question": int(each.split == "train" and normalised(each.question) in held_out),
            "same_as_plain": int(kind != PLAIN and text == each.answers[PLAIN]),
        }
        for each in conversations
        for kind, text in each.answers.items()
    ]


def _english(text: str) -> int:
    """1 for an English text, and for one too short to tell."""
    words = normalised(text).split()
    return int(len(words) < 12 or bool(ENGLISH & set(words)))

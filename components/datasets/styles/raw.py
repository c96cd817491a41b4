"""The raw files: one styled answer a line, and Dolly's open questions with their plain answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from components.datasets.styles.reader import STYLES
from components.errors import UserError

QUESTION, ANSWER = "### Human: ", " ### Assistant: "
"""What comes before the question and before the answer in a row of Dolly's copy."""
QUESTIONS = Path("dolly", "open_qa.jsonl")


class Row(NamedTuple):
    """A question and its plain answer. line: from 1, in the file."""

    line: int
    question: str
    answer: str


def style_file(style: str) -> Path:
    return Path("text_styles", f"{style}.txt")


def read_lines(raw: Path) -> dict[str, list[str]]:
    """The lines of each style's file; lines of one number answer the same question. Raises UserError."""
    lines = {style: _text(raw / style_file(style)).splitlines() for style in STYLES}
    counts = {style: len(found) for style, found in lines.items()}
    if len(set(counts.values())) > 1:
        raise UserError(f"{raw}: the style files must have as many lines as each other, and have {counts}")
    return {style: [line.strip() for line in found] for style, found in lines.items()}


def read_rows(raw: Path) -> list[Row]:
    """Dolly's open questions in Dolly's order. Raises UserError that names the line which is none."""
    return list(_rows(raw / QUESTIONS))


def _rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        try:
            text = json.loads(line)["text"]
            question, answer = text.removeprefix(QUESTION).split(ANSWER, 1)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: line {number} holds no question with an answer") from None
        yield Row(number, question.strip(), answer.strip())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `python -m components fetch styles`") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None

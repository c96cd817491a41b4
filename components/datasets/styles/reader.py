"""The prepared conversations: what training, evaluation and serving read, and the names of the styles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from components.errors import UserError

PLAIN = "plain"
STYLES = ("yoda", "leprechaun")
KINDS = (*STYLES, PLAIN)
"""Kinds of answers: in a style, or plain."""
SPLITS = ("train", "validation", "test")
FILE = "conversations.jsonl"
LINES = "lines.jsonl"
"""Styled lines whose question is not known: style text, for a judge of style."""


class Conversation(NamedTuple):
    """A question and its answers, by kind. Every one has a plain answer; few have styled ones."""

    id: str
    split: str
    question: str
    answers: Mapping[str, str]


class Line(NamedTuple):
    """A styled answer without its question. line: from 1, in the style's file."""

    style: str
    line: int
    text: str


def read_conversations(prepared: Path, split: str) -> list[Conversation]:
    """The conversations of a split. Raises UserError where prepare has not run, or its file is damaged."""
    found = (Conversation(**row) for row in _rows(prepared / FILE, Conversation._fields))
    return [conversation for conversation in found if conversation.split == split]


def read_style_lines(prepared: Path) -> list[Line]:
    """Styled lines without a question. Raises UserError as `read_conversations` does."""
    return [Line(**row) for row in _rows(prepared / LINES, Line._fields)]


def _rows(path: Path, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        for line in lines:
            row = json.loads(line)
            if row.keys() != set(fields):
                raise ValueError
            yield row
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the step prepare first") from None
    except (ValueError, AttributeError):
        raise UserError(f"{path} is not what the step prepare writes: run it again") from None

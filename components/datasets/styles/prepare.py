"""From style files without questions and Dolly's questions to conversations, split by question."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.datasets.styles.alignment import Alignment, align
from components.datasets.styles.params import StylesParams
from components.datasets.styles.raw import Row, read_lines, read_rows
from components.datasets.styles.reader import FILE, LINES, PLAIN, SPLITS, STYLES, Conversation, Line
from components.errors import UserError
from components.files import write_json, write_text

RULES = {
    "empty": "a question or an answer without words",
    "long": "a question or an answer longer than the parameter datasets.styles.max_characters",
    "duplicate": "the same question as an earlier row, which keeps the pair where only one has one",
    "near_duplicate": "a training question that repeats a validation or test question",
    "limit": "beyond the parameter datasets.styles.limit",
}
"""Why a row may be dropped."""
WORD = re.compile(r"[a-z0-9]+")


def prepare(raw: Path, out: Path, params: StylesParams) -> dict[str, Any]:
    """Writes conversations.jsonl, lines.jsonl and report.json into `out`; returns the report.

    Raises UserError naming the file that is wrong, or the split that is empty.
    """
    lines, rows = read_lines(raw), read_rows(raw)
    found = align(list(lines.values()), [f"{row.question} {row.answer}" for row in rows], params.min_similarity)
    line_of_row = {int(row): int(line) for line, row in found.pairs}
    kept, dropped = _select(rows, line_of_row, lines, params)
    conversations = [_conversation(rows[row], line_of_row.get(row), lines) for row in kept]
    for split in SPLITS:
        styled = [c for c in conversations if c.split == split and len(c.answers) > 1]
        if not styled:
            raise UserError(f"{raw}: no styled answer falls in the split '{split}'; raise the limit")
    paired = set(line_of_row.values())
    unpaired = [
        Line(style, number + 1, text)
        for style in STYLES
        for number, text in enumerate(lines[style])
        if number not in paired and text
    ]
    write_text(out / FILE, _jsonl(conversation._asdict() for conversation in conversations))
    write_text(out / LINES, _jsonl(line._asdict() for line in unpaired))
    report = {
        "rows": len(rows),
        "lines": len(lines[STYLES[0]]),
        "alignment": alignment_report(found),
        "splits": {split: sum(c.split == split for c in conversations) for split in SPLITS},
        "styled": {split: sum(c.split == split and len(c.answers) > 1 for c in conversations) for split in SPLITS},
        "dropped": {
            rule: {"why": why, "count": len(dropped[rule]), "lines": [rows[row].line for row in dropped[rule]]}
            for rule, why in RULES.items()
        },
    }
    write_json(out / "report.json", report)
    return report


def alignment_report(found: Alignment) -> dict[str, float]:
    """Pairs, and two estimates of how many are wrong."""
    return {
        "pairs": len(found.pairs),
        "mean_similarity": float(found.similarity.mean()) if len(found.pairs) else 0.0,
        "not_own_best": float(1 - found.own_best.mean()) if len(found.pairs) else 1.0,
        "styles_disagree": float(1 - found.agrees.mean()) if len(found.pairs) else 1.0,
    }


def normalised(question: str) -> str:
    """A question's words in small letters: what names it, and its split."""
    return " ".join(WORD.findall(question.lower()))


def split_of(question: str) -> str:
    """A tenth of the questions are test questions, a tenth validation questions, by their hash."""
    place = int(hashlib.sha256(normalised(question).encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(place, "train")


def _select(
    rows: Sequence[Row], line_of_row: dict[int, int], lines: dict[str, list[str]], params: StylesParams
) -> tuple[list[int], dict[str, list[int]]]:
    """Numbers of the rows to keep, and of the others by rule."""
    dropped: dict[str, list[int]] = {rule: [] for rule in RULES}
    by_question: dict[str, int] = {}
    # Paired rows first: where a question comes twice, the one with styled answers stays.
    for number in sorted(range(len(rows)), key=lambda number: (number not in line_of_row, number)):
        row = rows[number]
        texts = [row.question, row.answer]
        if number in line_of_row:
            texts += [lines[style][line_of_row[number]] for style in STYLES]
        if not all(map(normalised, texts)):
            dropped["empty"].append(number)
        elif max(map(len, texts)) > params.max_characters:
            dropped["long"].append(number)
        elif normalised(row.question) in by_question:
            dropped["duplicate"].append(number)
        else:
            by_question[normalised(row.question)] = number
    kept = sorted(by_question.values())
    repeats = set(near_duplicates([rows[number].question for number in kept], params.near_duplicate))
    dropped["near_duplicate"] = [number for place, number in enumerate(kept) if place in repeats]
    kept = [number for place, number in enumerate(kept) if place not in repeats]
    if 0 < params.limit < len(kept):
        # Rows with styled answers come first in the file, and a small slice needs some of every split.
        dropped["limit"] = kept[params.limit :]
        kept = kept[: params.limit]
    return kept, dropped


def near_duplicates(questions: Sequence[str], share: float) -> list[int]:
    """Places of training questions whose words are to `share` those of a validation or test question (Jaccard)."""
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(binary=True, token_pattern=WORD.pattern, dtype=np.int32).fit_transform(questions)
    training = np.array([split_of(question) == "train" for question in questions])
    common = (words[training] @ words[~training].T).toarray()
    counts = np.asarray(words.sum(axis=1)).ravel()
    union = counts[training][:, None] + counts[~training][None, :] - common
    repeats = (common >= share * union).any(axis=1)
    return [int(place) for place in np.flatnonzero(training)[repeats]]


def _conversation(row: Row, line: int | None, lines: dict[str, list[str]]) -> Conversation:
    answers = {PLAIN: row.answer}
    if line is not None:
        answers |= {style: lines[style][line] for style in STYLES}
    identity = hashlib.sha256(normalised(row.question).encode()).hexdigest()[:12]
    return Conversation(identity, split_of(row.question), row.question, answers)


def _jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)

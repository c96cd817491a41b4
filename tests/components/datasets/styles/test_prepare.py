"""Styled lines find their questions again, and no held-out question is in training."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from components.datasets.styles.alignment import align, monotone
from components.datasets.styles.params import StylesParams
from components.datasets.styles.prepare import near_duplicates, prepare, split_of
from components.datasets.styles.reader import STYLES, read_conversations, read_style_lines
from components.datasets.styles.tables import tables
from components.errors import UserError

PARAMS = StylesParams(profile="course", limit=0, min_similarity=0.2, near_duplicate=0.8, max_characters=500)
THINGS = (
    *("gold", "camel", "river", "castle", "violin", "comet", "bread", "whale"),
    *("piano", "desert", "lemon", "tiger", "rocket", "island", "candle", "dragon"),
)
PLACES = ("Ireland", "Egypt", "Norway", "Brazil", "Kenya", "Japan", "Greece", "Canada")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Questions of which every second has a styled answer; lines without a question stand between."""
    pairs = [(thing, place) for thing in THINGS for place in PLACES]
    rows = [
        {"text": f"### Human: Where is the {t} of {p}? ### Assistant: The {t} of {p} is near the old {t} market."}
        for t, p in pairs
    ]
    lines: dict[str, list[str]] = {style: [] for style in STYLES}
    for t, p in pairs[::2]:
        lines["yoda"] += [f"Near the old {t} market, the {t} of {p} is.", "Patience you must have, hmm."]
        lines["leprechaun"] += [f"Top o' the mornin'! The {t} of {p} be near the old {t} market.", "Me pipe is lit."]
    for folder in ("text_styles", "dolly"):
        (tmp_path / folder).mkdir()
    for style, found in lines.items():
        (tmp_path / "text_styles" / f"{style}.txt").write_text("\n".join(found) + "\n")
    (tmp_path / "dolly" / "open_qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_lines_find_their_questions_and_others_find_none(raw: Path, tmp_path: Path) -> None:
    report = prepare(raw, tmp_path, PARAMS)
    assert report["alignment"]["pairs"] == 64
    assert report["alignment"]["styles_disagree"] < 0.1
    for split in ("train", "validation", "test"):
        for conversation in read_conversations(tmp_path, split):
            assert split_of(conversation.question) == split
            for style in set(conversation.answers) & set(STYLES):
                thing, place = conversation.question.removeprefix("Where is the ").removesuffix("?").split(" of ")
                assert f"{thing} of {place}" in conversation.answers[style]
    assert {line.text for line in read_style_lines(tmp_path)} == {"Patience you must have, hmm.", "Me pipe is lit."}


def test_what_is_wrong_with_prepared_answers_is_a_column(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path, PARAMS)
    found = tables(raw, tmp_path)
    assert set(found) == {"lines", "questions", "answers", "pairs"}
    assert found["answers"]["held_out_question"].sum() == 0
    path = tmp_path / "conversations.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    held_out = next(row for row in rows if row["split"] == "test")
    rows.append({**held_out, "split": "train", "id": "leak"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert tables(raw, tmp_path)["answers"]["held_out_question"].sum() >= 1


def test_a_training_question_that_repeats_a_held_out_one_is_found() -> None:
    held_out = next(f"where does the tall {t} of {p} sleep" for t in THINGS for p in PLACES
                    if split_of(f"where does the tall {t} of {p} sleep") != "train")  # fmt: skip
    repeats = [f"{held_out} {word}" for word in ("now", "there", "today", "tonight", "here")]
    questions = [held_out, *repeats, "what is a completely different question"]
    found = near_duplicates(questions, 0.8)
    assert found == [place for place in range(1, 6) if split_of(questions[place]) == "train"]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("dolly/open_qa.jsonl", '{"text": "no question"}\n', "line 1 holds no question"),
        ("dolly/open_qa.jsonl", "{\n", "line 1 holds no question"),
        ("text_styles/yoda.txt", "one line\n", "as many lines"),
    ],
)
def test_raw_files_that_are_wrong_are_one_line(file: str, content: str, words: str, raw: Path, tmp_path: Path) -> None:
    (raw / file).write_text(content)
    with pytest.raises(UserError, match=words):
        prepare(raw, tmp_path, PARAMS)


@given(some.lists(some.lists(some.floats(-1, 1, width=16), min_size=4, max_size=4), min_size=1, max_size=4))
def test_the_alignment_is_the_best_of_all_that_rise(gains: list[list[float]]) -> None:
    table = np.array(gains, np.float32)
    lines, rows = table.shape
    best = max(
        sum(float(table[line, row]) for line, row in zip(left, right, strict=True))
        for count in range(min(lines, rows) + 1)
        for left in combinations(range(lines), count)
        for right in combinations(range(rows), count)
    )
    pairs = monotone(table)
    assert (np.diff(pairs, axis=0) > 0).all()
    assert (table[pairs[:, 0], pairs[:, 1]] > 0).all()
    assert abs(float(table[pairs[:, 0], pairs[:, 1]].sum()) - best) < 1e-3


def test_styles_that_disagree_are_counted() -> None:
    rows = ["gold of Ireland", "camel of Egypt", "violin of Norway"]
    agreed = align([["gold Ireland", "violin Norway"], ["gold in Ireland", "a violin Norway"]], rows, 0.2)
    assert agreed.agrees.all()
    assert agreed.pairs.tolist() == [[0, 0], [1, 2]]

"""Digits on lined and squared paper, and several on one picture, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.digit_photographs import SEVERAL, Sheet, photograph, sheet
from components.datasets.digits.reader import Split
from serving.digits.marks import connected, digits
from tests.serving.servers import Server, serving

SQUARED = Sheet(height=0.4, lines="squares", pitch=0.45, line=0.5, angle=2.0, tilt=0.05)


def read(server: Server, content: bytes) -> dict[str, Any]:
    answer = server.client.post("/read", content=content, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(server: Server, content: bytes) -> str:
    answer = server.client.post("/read", content=content, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 422, answer.text
    return str(answer.json()["detail"])


def written(split: Split, count: int, paper: Sheet, seed: int) -> tuple[bytes, list[int]]:
    """A photograph of digits, and which they are."""
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, len(split.images), count)
    return photograph(list(split.images[rows]), paper, draw), split.labels[rows].tolist()


@pytest.mark.parametrize("kind", ["lined", "lined, with a margin", "squared", "squared, thin pen"])
def test_lines_do_not_change_what_a_digit_is_read_as(digits_server: Server, test_digits: Split, kind: str) -> None:
    same = 0
    for seed in range(6):
        paper = sheet(kind, "choosing", np.random.default_rng(seed))
        ruled, plain = (
            written(test_digits, 1, of, seed)[0] for of in (paper, replace(paper, lines="none", margin=False))
        )
        answers = [read(digits_server, content) for content in (ruled, plain)]
        same += answers[0]["digit"] == answers[1]["digit"] is not None
    assert same >= 5


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_digits_are_found_from_left_to_right(digits_server: Server, test_digits: Split, kind: str) -> None:
    right, whole = 0, 0
    for seed in range(4):
        paper = replace(sheet(kind, "choosing", np.random.default_rng(seed)), height=0.16, pitch=0.6)
        content, labels = written(test_digits, 4, paper, seed)
        answer = read(digits_server, content)
        found = answer["digits"]
        lefts = [digit["left"] for digit in found]
        assert lefts == sorted(lefts)
        assert all(0 <= d["left"] < d["right"] <= 800 and 0 <= d["top"] < d["bottom"] <= 600 for d in found)
        assert (answer["width"], answer["height"], answer["digit"]) == (800, 600, None)
        whole += len(found) == len(labels)
        right += sum(digit["digit"] == label for digit, label in zip(found, labels, strict=False))
    assert whole >= 3
    assert right >= 10


def test_one_digit_is_answered_as_before_and_in_the_list(digits_server: Server, test_digits: Split) -> None:
    answer = read(digits_server, written(test_digits, 1, Sheet(), 3)[0])
    (found,) = answer["digits"]
    for field in ("digit", "probabilities", "image", "abstain", "distance"):
        assert answer[field] == found[field] is not None
    assert found["probability"] == max(found["probabilities"])


def test_a_box_is_where_the_digit_is_in_the_picture_that_was_sent(digits_server: Server, test_digits: Split) -> None:
    from PIL import Image

    from tests.serving.hostile import saved

    paper = Image.new("L", (3000, 2000), 255)
    ink = np.kron(test_digits.images[0], np.ones((20, 20), np.uint8))
    paper.paste(Image.fromarray(255 - ink), (1500, 700))
    rows, columns = np.nonzero(ink > 51)
    (found,) = read(digits_server, saved(paper, "JPEG"))["digits"]
    expected = (columns.min() + 1500, rows.min() + 700, columns.max() + 1500, rows.max() + 700)
    assert np.abs(np.subtract([found[side] for side in ("left", "top", "right", "bottom")], expected)).max() <= 25


@pytest.mark.parametrize("lines", ["rows", "squares"])
def test_bare_lined_paper_is_refused_or_no_digit(digits_server: Server, lines: Any) -> None:
    for seed in range(3):
        content = photograph([], replace(SQUARED, lines=lines), np.random.default_rng(seed))
        answer = digits_server.client.post("/read", content=content, headers={"content-type": "image/jpeg"})
        assert answer.status_code == 422 or all(digit["abstain"] for digit in answer.json()["digits"])


def test_more_marks_than_are_read_are_refused(digits_bundle: Path, test_digits: Split, tmp_path: Path) -> None:
    content = written(test_digits, 4, Sheet(height=0.15), 0)[0]
    with serving("digits", digits_bundle, tmp_path, "--allow-unpromoted", max_digits=3) as server:
        assert "4 marks on the paper, more than the 3 digits that are read" in refused(server, content)
        assert len(read(server, written(test_digits, 3, Sheet(height=0.15), 0)[0])["digits"]) == 3


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=7))
def test_connected_parts_are_those_that_scipy_finds(rows: list[list[bool]]) -> None:
    from scipy.ndimage import label

    mask = np.array(rows)
    expected, count = label(mask, np.ones((3, 3)))
    found = connected(mask)
    assert ((found > 0) == mask).all()
    assert len(set(zip(found[mask].tolist(), expected[mask].tolist(), strict=True))) == count
    assert found.max() == count


def test_the_parts_of_a_broken_digit_are_one_mark() -> None:
    mask = np.zeros((200, 200), bool)
    mask[50:150, 40:50] = mask[50:60, 56:110] = True
    mask[60:150, 150:160] = True
    assert [mark.box for mark in digits(mask)[0]] == [(40, 50, 110, 150), (150, 60, 160, 150)]

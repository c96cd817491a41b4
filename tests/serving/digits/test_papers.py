"""Digits on lined and squared paper, and several on one picture, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.digit_photographs import SEVERAL, Sheet, glyph, photograph, sheet
from components.datasets.digits.reader import Split
from serving.digits.marks import connected, digits
from serving.digits.preprocess import framed
from serving.digits.ruling import without_lines, without_slivers
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


@pytest.mark.parametrize("lines", ["rows", "squares"])
def test_lines_may_be_as_thick_as_strokes(digits_server: Server, test_digits: Split, lines: Any) -> None:
    paper = Sheet(height=0.55, lines=lines, pitch=1.1, line_width=0.075, angle=-2.0)
    same = 0
    for seed in range(6):
        ruled, plain = (written(test_digits, 1, of, seed)[0] for of in (paper, replace(paper, lines="none")))
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
    from tests.serving.hostile import saved

    paper = Image.new("L", (3000, 2000), 255)
    ink = np.kron(test_digits.images[0], np.ones((20, 20), np.uint8))
    paper.paste(Image.fromarray(255 - ink), (1500, 700))
    rows, columns = np.nonzero(ink > 51)
    (found,) = read(digits_server, saved(paper, "JPEG"))["digits"]
    expected = (columns.min() + 1500, rows.min() + 700, columns.max() + 1500, rows.max() + 700)
    assert np.abs(np.subtract([found[side] for side in ("left", "top", "right", "bottom")], expected)).max() <= 25


BARE = {
    "noisy": Sheet(noise=10.0),
    "shaded": Sheet(noise=6.0, shade=0.45),
    "lined": Sheet(height=0.55, lines="rows", pitch=0.35, line_width=0.05, angle=-2.0, noise=4.0, blur=0.7),
    "squared": replace(SQUARED, line=0.35, line_width=0.05, noise=4.0),
}


@pytest.mark.parametrize("kind", list(BARE))
def test_a_bare_sheet_is_refused(digits_server: Server, kind: str) -> None:
    for seed in range(3):
        content = photograph([], BARE[kind], np.random.default_rng(seed))
        assert "nothing on the paper" in refused(digits_server, content)


@pytest.mark.parametrize("kind", list(BARE))
def test_a_digit_on_such_a_sheet_is_found(digits_server: Server, test_digits: Split, kind: str) -> None:
    found = [read(digits_server, written(test_digits, 1, BARE[kind], seed)[0])["digits"] for seed in range(3)]
    assert [len(digits) for digits in found] == [1, 1, 1]


def ruled(thickness: int, level: float) -> np.ndarray:
    """Ink (300, 400) of paper with three lines across."""
    ink = np.zeros((300, 400), np.float32)
    for top in (60, 150, 240):
        ink[top : top + thickness] = level
    return ink


def test_a_stroke_that_crosses_a_line_at_a_slant_is_joined() -> None:
    """Though it is no darker than the line, so that nothing is seen of it there."""
    ink = ruled(11, 150)
    rows, columns = np.indices(ink.shape)
    stroke = (np.abs(columns - rows - 50) <= 5) & (rows > 100) & (rows < 200)
    ink[stroke] = 150
    cleaned, printed = without_lines(ink)
    assert printed == 150
    left = cleaned >= 75
    assert connected(left).max() == 1
    assert (left & stroke).sum() >= 0.95 * stroke.sum()
    assert (left & ~stroke).sum() <= 0.05 * stroke.sum()


def test_a_stroke_along_a_line_stays_where_it_is_a_little_darker_than_the_line() -> None:
    ink = ruled(8, 188)
    ink[150:158, 100:200] = 226
    ink[158:220, 190:200] = 226
    cleaned, _ = without_lines(ink)
    assert (cleaned[152:156, 102:198] == 226).all()
    assert (cleaned[150:158, 204:] == 0).all()


@pytest.mark.parametrize("pen", [0.04, 0.07, None])
def test_the_strokes_of_a_digit_that_is_cut_out_closely_are_no_lines(test_digits: Split, pen: float | None) -> None:
    for index, digit in enumerate(test_digits.images[:30]):
        drawn = np.pad(glyph(digit, Sheet(height=0.35, pen=pen)), (0, 2, 8)[index % 3])
        assert without_lines(235 * drawn.astype(np.float32))[1] == 0


@pytest.mark.parametrize("side", [20, 50, 96, 200])
def test_strokes_of_a_digit_that_is_cut_out_closely_are_not_taken_for_noise(test_digits: Split, side: int) -> None:
    for digit in test_digits.images[:60]:
        rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
        cut = Image.fromarray(255 - digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        assert framed(cut.resize((round(side * cut.width / cut.height), side)), 0.2, 32)


def test_lines_along_the_edges_are_not_taken_for_the_paper() -> None:
    grey = np.full((300, 400), 200, np.uint8)
    grey[:4] = grey[-4:] = grey[:, :4] = grey[:, -4:] = 120
    grey[100:200, 180:200] = 60
    (cut,) = framed(Image.fromarray(grey), 0.2, 32)
    assert cut.box == (180, 100, 200, 200)


def test_what_is_left_of_a_line_in_a_corner_is_removed_before_digits_are_looked_for() -> None:
    """Longer than any digit, it would make them specks; and it may be in crumbs."""
    rows, columns = np.indices((600, 800))
    piece = (np.abs(rows - 25 + 0.07 * columns) <= 3) & (columns % 9 > 1)
    one = (np.abs(columns - 400) <= 5) & (rows > 200) & (rows < 270)
    seven = ((rows >= 590) & (columns > 600) & (columns < 680)) | ((columns >= 670) & (columns < 680) & (rows > 500))
    left = without_slivers(piece | one | seven)
    assert np.array_equal(left, one | seven)


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

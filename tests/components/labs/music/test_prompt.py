"""A given beginning: what is wrong with it, and what the model reads in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets.music.abc_notation import check
from components.datasets.music.respell import respelled
from components.labs.music.runtime.conditioning import Conditions, Options, begins_with_header
from components.labs.music.runtime.prompt import as_checked, as_collected, conditioned, faults, start_fault
from components.labs.music.runtime.request import TuneRequest

OPTIONS = Options({"6/8": {"jig": 9, "slide": 3}, "9/8": {"slipjig": 1}, "C": {"reel": 2}})


@pytest.mark.parametrize(
    ("start", "read"),
    [
        ("X:1\nT:A\nM:9/8\nL:1/8\nK:D\n", "X:1\nT:A\nZ: id:dc-slipjig-1\nM:9/8\nL:1/8\nK:D Major\n"),
        ("X:4\nT:A\nM:4/4\nL:1/8\nK:Em\n|:E2", "X:4\nT:A\nZ: id:dc-reel-4\nM:C\nL:1/8\nK:E Minor\n|:E2"),
        ("X:1\nT: A \nR: slip jig\nC:Trad\nL: 1/8\nM: 9/8\nK: Ador\n", None),
        (
            "X:1\nT:A\nZ: id:dc-slide-7\nM:6/8\nL:1/8\nK:D Dorian\n",
            "X:1\nT:A\nZ: id:dc-slide-1\nM:6/8\nL:1/8\nK:D Dorian\n",
        ),
        ("X:1\nT:A\nM:9/8\n", "X:1\nT:A\nZ: id:dc-slipjig-1\nM:9/8\n"),
        ("X:1\nT:A", "X:1\nT:A"),
        ("X:1\nM:9/8\nK:D", "X:1\nM:9/8\nK:D"),
        ("X:1\nT:A\nM:7/8\nL:1/8\nK:D clef=bass\n", "X:1\nT:A\nM:7/8\nL:1/8\nK:D Major\n"),
        (
            "X:1\nT:A\nM:9/8\nL:1/8\nK:Hp\nA`B`c \\\n% a comment\ndef",
            "X:1\nT:A\nZ: id:dc-slipjig-1\nM:9/8\nL:1/8\nK:D Major\nABcdef",
        ),
    ],
)
def test_the_model_reads_a_header_as_the_collection_spells_it(start: str, read: str | None) -> None:
    expected = "X:1\nT:A\nZ: id:dc-slipjig-1\nM:9/8\nL:1/8\nK:A Dorian\n" if read is None else read
    assert as_collected(start, OPTIONS, seed=1) == expected


def test_a_type_is_drawn_by_the_seed() -> None:
    start = "X:1\nT:A\nM:6/8\nL:1/8\nK:D\n"
    read = [as_collected(start, OPTIONS, seed) for seed in range(40)]
    assert read == [as_collected(start, OPTIONS, seed) for seed in range(40)]
    assert len(set(read)) == 2
    assert sum("jig" in text for text in read) > sum("slide" in text for text in read)


@pytest.mark.parametrize(
    ("start", "found"),
    [
        ("X:1\nM:C\nL:1/8\nK:D\nABcd|", []),
        ("X:1\nM:C\n", []),
        ("X:1\nM:C\nL:1/8\nK:", []),
        ("X:1\nK:D\n", ["no M: field before K:", "no L: field before K:"]),
        ("T:A\nM:C\nL:1/8\nK:D\n", ["no X: field before K:", "the first field is not X:"]),
        ("X:1\nM:5/7\n", ["unknown metre '5/7'"]),
        ("X:1\nM:C\nL:1/8\nK:Am clef=bass\nA4 u", []),
        ("X:1\nM:C\nL:1/8\nK:C\n[V:1]C8|\n[V:2]C8", ["bar 2 (line 6): several voices (V:2): a tune has one here"]),
    ],
)
def test_a_header_with_which_no_tune_is_valid_is_noticed(start: str, found: list[str]) -> None:
    assert faults(start) == found


@pytest.mark.parametrize(
    ("music", "plain"),
    [
        ("~A2(BA)|!\nG2", "~A2(BA)|!\nG2"),
        ("AB`c|% to here", "ABc|"),
        ("AB \\\n%%staffsep\ncd|\nw:la\nZ2|uA", "ABcd|\nz6|z6|A"),
        ("A8|\nM:4/4\n[K:Em clef=bass][r:a remark]x4 y", "A8|\nM:4/4\n[K:E Minor]z4"),
    ],
)
def test_music_is_read_in_the_collections_dialect(music: str, plain: str) -> None:
    assert respelled(music, "M:6/8\nL:1/8\n") == plain


def test_a_tune_is_checked_with_its_start_in_the_collections_dialect() -> None:
    start = "X:1\nM:C\nL:1/8\nK:Am clef=bass\nAB`cd uefga|\\\n"
    assert check(start + "A8|]")
    assert check(as_checked(start + "A8|]", Conditions(start=start))) == []


@pytest.mark.parametrize(("start", "metre"), [("ABcd efga|", "C"), ("A|ABc def|", "6/8"), ("ABc def gab|c", "9/8")])
def test_a_start_without_a_metre_gets_one_in_which_its_bars_add_up(start: str, metre: str) -> None:
    for seed in range(4):
        forced = conditioned(TuneRequest(seed), Conditions(start=start), OPTIONS).forced
        assert (forced[3], forced[6]) == (f"M:{metre}\n", start)
    assert start_fault(Conditions(start=start), OPTIONS) == ""


@pytest.mark.parametrize(
    ("conditions", "fault"),
    [
        (Conditions(start="A8|ABcd|", metre="C"), "bar 2 is too short: 1/2 of 1"),
        (Conditions(start="A8|ABcd|"), "bar 1 is too long"),
        (Conditions(start="ABc def|A", type="reel"), ""),
        (Conditions(start="A|ABc|A", type="reel"), "bar 1 is too short and nothing completes it"),
        (Conditions(start="X:1\nM:6/8\nL:1/8\nK:D\nABc def g|"), "bar 1 is too long: 7/8 of 3/4"),
        (Conditions(start="X:1\nM:6/8\nL:1/8\nK:D\nA|ABc def"), ""),
        (Conditions(), ""),
    ],
)
def test_a_start_that_no_bar_can_make_valid_is_noticed(conditions: Conditions, fault: str) -> None:
    found = start_fault(conditions, OPTIONS)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


@given(st.text(alphabet="XTMLKZR:/168CDm \n|", max_size=60), st.integers(0, 2**53))
def test_any_start_can_be_looked_at(start: str, seed: int) -> None:
    faults(start)
    as_collected(start, OPTIONS, seed)
    as_checked(start + "A", Conditions(start=start))
    begins_with_header(start)

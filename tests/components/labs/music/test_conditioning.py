"""What can be asked of a model: read off its training tunes, and said in its bundle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from components.bundle import Bundle
from components.datasets.music.reader import read_texts
from components.errors import UserError
from components.labs.music.runtime.conditioning import Conditions, Options


@pytest.fixture(scope="module")
def texts(prepared_music: Path) -> list[str]:
    return read_texts(prepared_music, "train")


def test_types_that_hardly_occur_in_a_metre_are_not_offered(texts: list[str]) -> None:
    everything, often = Options.of_tunes(texts, 1), Options.of_tunes(texts, 3)
    assert "setdance" in everything.types_in("2/4")
    assert list(often.types_in("2/4")) == ["polka", "miscellaneous"]
    assert set(often.metres) == {"C", "C|", "4/4", "2/4", "3/4", "6/8", "9/8"}
    assert often.types[0] == "reel"


def test_four_four_is_common_time(texts: list[str]) -> None:
    options = Options.of_tunes(texts, 3)
    assert options.types_in("4/4") == options.types_in("C")
    assert options.forced_lines(Conditions(metre="4/4"), 1)[3] == "M:4/4\n"


def test_a_bundle_says_what_can_be_asked_of_it(
    music_bundle: Path, texts: list[str], overfitted_tunes: list[str]
) -> None:
    said, known = Options.of_spec(Bundle.open(music_bundle).spec), Options.of_tunes(texts, 3)
    assert said.types_by_metre == known.types_by_metre
    assert said.forms == Options.of_tunes(overfitted_tunes, 1).forms
    assert [said.draw_type("6/8", seed) for seed in range(20)] == [known.draw_type("6/8", seed) for seed in range(20)]
    with pytest.raises(UserError, match="export the model again"):
        Options.of_spec({})


def test_a_type_is_drawn_as_often_as_tunes_have_it_and_again_by_the_same_seed() -> None:
    options = Options({"6/8": {"jig": 3, "slide": 1}})
    drawn = [options.draw_type("6/8", seed) for seed in range(400)]
    assert Counter(drawn)["jig"] == pytest.approx(300, abs=40)
    assert drawn == [options.draw_type("6/8", seed) for seed in range(400)]


def test_the_lines_that_are_forced() -> None:
    options = Options({"9/8": {"slipjig": 3}})
    assert options.forced_lines(Conditions(), 1) == {}
    assert options.forced_lines(Conditions(key="D Major", title="A"), 1) == {1: "T:A\n", 5: "K:D Major\n"}
    assert options.forced_lines(Conditions(metre="9/8"), 1) == {2: "Z: id:dc-slipjig-", 3: "M:9/8\n"}
    assert options.forced_lines(Conditions(metre="7/8", type="reel"), 1) == {2: "Z: id:dc-reel-", 3: "M:7/8\n"}
    assert options.forced_lines(Conditions(key="D Major", start="A|"), 1) == {5: "K:D Major\n", 6: "A|"}
    assert options.forced_lines(Conditions(start="X:1\nM:9/8\n"), 1) == {0: "X:1\nM:9/8\n"}


def test_a_type_with_few_forms_has_those_of_its_metre_and_seldom_none(prepared_music: Path) -> None:
    options = Options.of_tunes(read_texts(prepared_music, "train"), 3)
    waltzes = options.forms_of(Conditions(metre="3/4", type="waltz"))
    counted = options.forms["3/4"]["waltz"]
    assert counted[""] > 4, "this tests something"
    assert set(counted) - {""} <= set(waltzes)
    assert 6 * waltzes[""] <= sum(waltzes.values())
    asked = Conditions(metre="2/4", type="miscellaneous")
    assert len(options.forms_of(asked)) > len(options.forms["2/4"]["miscellaneous"])
    reels = Conditions(metre="4/4", type="reel")
    assert options.forms_of(reels) == options.forms["C"]["reel"], "many forms are drawn as they are counted"
    assert Options.of_tunes(read_texts(prepared_music, "train"), 3, forms=False).forms_of(asked) == {}

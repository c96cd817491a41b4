"""Tunes of printed collections: read from the archive, rewritten in the lab's dialect, and without what is held out."""

import hashlib
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from components.datasets.music.abc_notation import check, parse_tune
from components.datasets.music.abc_standard import read_standard
from components.datasets.music.added_tunes import RULES, add_tunes
from components.datasets.music.dialect import DROPPED, DroppedTune, convert
from components.datasets.music.near_duplicates import HeldOut, shingles
from components.datasets.music.params import MusicDatasetParams
from components.datasets.music.prepare import prepare
from components.datasets.music.printed_collections import FILE, PrintedTune, read_collections
from components.datasets.music.reader import read_added, read_texts
from components.datasets.music.tune_headers import title, tune_type
from components.errors import UserError
from components.labs.music.training.transpose import TranspositionError, between, transpose
from components.sources.archive import write_tar
from tests.music_data import ALL, RAW, raw_folder, real_tunes

ENCHANTED = "0001-0050.abc:2"
"""Place of the first tune of O'Neill's book."""
NAMES = ("oneills", "ryans", "airds")
TEST_TUNES = "bdfedc2ab8bd87a735467903f7ade2d2866c198c4d3934d66c370264be71d544"
"""SHA-256 of the 88 test tunes, before there were collections and since."""


@cache
def printed() -> dict[str, PrintedTune]:
    """By place, in the order of the files."""
    return {tune.place: tune for tune in read_collections(RAW, NAMES)}


def tune_of(place: str, **fields: str) -> PrintedTune:
    text = printed()[place].text
    for letter, value in fields.items():
        text = re.sub(rf"^{letter}:.*$", f"{letter}:{value}", text, count=1, flags=re.MULTILINE)
    return printed()[place]._replace(text=text)


def converted(place: str) -> str:
    found = convert(printed()[place].text)
    return f"X:1\nM:{found.metre}\nL:1/8\nK:{found.key}\n{found.music}"


def small_archive(folder: Path, *places: str) -> Path:
    """A raw folder with all of the lab's tunes and these printed ones."""
    raw = raw_folder(folder, "\n\n".join(real_tunes()) + "\n")
    texts = [printed()[place].text for place in places]
    write_tar(raw / FILE, [("oneills1850/some.abc", "\n\n\n".join(texts).encode())])
    return raw


def params(*collections: str, limit: int = 0) -> MusicDatasetParams:
    return MusicDatasetParams.model_validate({**ALL.model_dump(), "collections": collections, "limit": limit})


def test_the_archive_holds_the_tunes_of_three_books() -> None:
    assert Counter(tune.collection for tune in printed().values()) == {"oneills": 2009, "ryans": 1059, "airds": 1180}
    assert len(read_collections(RAW, ["ryans"])) == 1059
    assert printed()[ENCHANTED].field("T") == "The Enchanted Valley"


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("unreadable", "book1.abc:264"),
        ("metre", "book2.abc:1220"),
        ("change", "book4.abc:1295"),
        ("order", "book1.abc:1089"),
        ("construct", "0001-0050.abc:377"),
        ("no_bars", "YellowStockingsJig.abc:1"),
        ("changed", "0759-0810.abc:284"),
        ("short", "book1.abc:80"),
        ("long", "book3.abc:494"),
    ],
)
def test_what_the_dialect_cannot_say_is_dropped_by_its_rule(rule: str, place: str) -> None:
    with pytest.raises(DroppedTune, match=f"^{rule}$"):
        convert(printed()[place].text)


def test_a_key_without_a_name_and_a_length_without_a_spelling_are_dropped() -> None:
    jig = printed()["0811-0899.abc:953"].text
    for rule, text in (
        ("key", re.sub("(?m)^K:.*", "K:D exp ^g", jig)),
        ("length", re.sub("(?m)(^K:.*\n)", r"\1A1/3A1/3A1/3|", jig)),
    ):
        with pytest.raises(DroppedTune, match=f"^{rule}$"):
            convert(text)
    assert rule in DROPPED


def test_a_converted_tune_plays_the_notes_of_the_original_bar_by_bar() -> None:
    """Read by the standard's reader on one side and by the sampler's own check on the other."""
    compared = doubled = 0
    for tune in list(printed().values())[::20]:
        try:
            found = convert(tune.text)
        except DroppedTune as dropped:
            assert str(dropped) in DROPPED
            continue
        before = read_standard(tune.text)
        after = parse_tune(f"X:1\nM:{found.metre}\nL:1/8\nK:{found.key}\n{found.music}")
        times = 2 if found.doubled else 1
        assert after.problems == []
        assert [bar.ticks for bar in after.bars] == [bar.ticks * times for bar in before.bars], tune.place
        assert [max(note.pitches, default=0) for note in after.notes] == [
            max(note.pitches, default=0) for note in before.notes
        ], tune.place
        compared, doubled = compared + 1, doubled + found.doubled
    assert compared > 120
    assert doubled > 5


def test_the_labs_own_tunes_come_back_as_they_are() -> None:
    """The dialect is the collection's: most of its tunes are rewritten to the letter."""
    same = others = 0
    for text in real_tunes()[::10]:
        try:
            music = convert(text).music
        except DroppedTune:
            continue
        same += music == text.partition("\nK:")[2].partition("\n")[2].strip()
        others += 1
    assert same > 0.85 * others > 50


def test_a_reel_that_is_printed_in_sixteenths_is_written_in_common_time() -> None:
    found = convert(printed()["ForestersHornpipe.abc:1"].text)
    assert (found.metre, found.doubled) == ("C", True)
    assert found.music.startswith("fg|a^gaf dfba|a^gaf d2cd|")
    assert not convert(printed()["book1.abc:188"].text).doubled


def test_grace_notes_slurs_and_ornaments_go_and_of_a_chord_the_highest_note_stays() -> None:
    text = "X:1\nM:C\nL:1/8\nK:D\n|:" + '"D"{e}(d2 ~f2) [DFA]2.d2|' * 8 + "[1 d8:|[2 d4-d4||"
    assert convert(text).music.split("!\n") == ["d2f2 A2d2|" * 4, "d2f2 A2d2|" * 4, "[1 d8:|", "[2 d4-d4|]!"]
    assert "d4 f4" in convert(text.replace("d4-d4", "d4-f4")).music, "a tie between two pitches is a slur"


@pytest.mark.parametrize(
    ("place", "fields", "metre", "found"),
    [
        ("ForestersHornpipe.abc:1", {}, "C", "hornpipe"),
        ("ForestersHornpipe.abc:1", {"R": "reel"}, "6/8", "untyped"),
        ("ForestersHornpipe.abc:1", {"R": ""}, "C", "hornpipe"),
        ("ForestersHornpipe.abc:1", {"R": "", "T": "The Foresters"}, "C", "untyped"),
        ("ForestersHornpipe.abc:1", {"R": "", "T": "The Foresters' Waltz"}, "3/4", "waltz"),
        ("ForestersHornpipe.abc:1", {"R": "", "T": "Planxty Forester"}, "6/8", "ocarolan"),
        (ENCHANTED, {}, "2/4", "air"),
        (ENCHANTED, {"X": "1200"}, "C|", "reel"),
        (ENCHANTED, {"X": "1200"}, "6/8", "untyped"),
        ("book1.abc:188", {"X": "1200"}, "C|", "untyped"),
    ],
)
def test_a_type_is_taken_only_where_a_rule_says_so(place: str, fields: dict[str, str], metre: str, found: str) -> None:
    assert tune_type(tune_of(place, **fields), metre) == found


@pytest.mark.parametrize(
    ("printed_title", "found"),
    [
        ("The Enchanted Valley", "Enchanted Valley"),
        ("Silken Cravat., The", "Silken Cravat"),
        ("the Fox and His Wife", "Fox and His Wife"),
        ("THE BOSTON BOYS' -- REEL", "Boston Boys'"),
        ("I'M O'ER YOUNG TO MARRY YET -- STRATHSPEY", "I'm O'Er Young to Marry Yet"),
        ("O'Carolan's Receipt for Drinking", "O'Carolan's Receipt for Drinking"),
        ("Caf\u00e9 & Th\u00e9?", "Cafe and The"),
    ],
)
def test_titles_are_written_as_the_labs_own_are(printed_title: str, found: str) -> None:
    assert title(tune_of(ENCHANTED, T=printed_title)) == found


def test_a_held_out_tune_is_found_in_every_key() -> None:
    held_out = {str(number): text for number, text in enumerate(real_tunes()[5::40]) if shingles(text)}
    finder = HeldOut(held_out)
    moved = 0
    for name, text in held_out.items():
        for key in ("C Major", "G Dorian", "E Minor", "A Mixolydian"):
            own = re.search("^K:(.*)$", text, re.MULTILINE)
            try:
                other = transpose(text, between(own[1] if own else "", key)[0])
            except TranspositionError:
                continue
            nearest, share = finder.nearest(shingles(other))
            # An accidental in another octave of its bar moves with its letter: one shingle may differ.
            assert nearest == name
            assert share > 0.98
            moved += 1
    assert moved > 20


def test_a_version_of_a_held_out_tune_shares_more_than_another_tune_does() -> None:
    rakes = next(text for text in real_tunes() if "T:Rakes of Clonmel" in text)
    finder = HeldOut({"rakes": rakes})
    assert finder.nearest(shingles(converted("0900-0950.abc:39")))[1] > 0.4
    assert finder.nearest(shingles(converted("0811-0899.abc:953")))[1] < ALL.near_duplicate


def test_prepare_adds_to_the_training_split_alone(tmp_path: Path) -> None:
    """Two tunes are added, a version of a held-out tune and the second of two copies are not."""
    new, version = ("0550-0625.abc:288", "0550-0625.abc:358"), "0900-0950.abc:39"
    raw = small_archive(tmp_path / "raw", new[0], version, new[1], new[0])
    report = prepare(raw, tmp_path / "out", params("oneills", "ryans"))
    assert report["splits"] == {"train": 630, "validation": 86, "test": 88}
    found = report["collections"]
    assert set(found["dropped"]) == set(RULES)
    assert {rule: drop["count"] for rule, drop in found["dropped"].items() if drop["count"]} == {
        "held_out": 1,
        "copy": 1,
    }
    assert found["near_duplicates"]["just_above"][-1]["held_out"] == "Rakes of Clonmel"
    added = read_added(tmp_path / "out")
    assert len(added) == 2
    assert all(check(text) == [] and "\nZ: id:on-jig-" in text for text in added)
    assert len(read_texts(tmp_path / "out", "train")) == 630
    assert len(json.loads((tmp_path / "out/vocabulary.json").read_text())) == 83


def test_the_test_tunes_are_those_of_before(tmp_path: Path) -> None:
    for name, raw, chosen in (
        ("without", RAW, params()),
        ("with", small_archive(tmp_path / "raw", *list(printed())[:9]), params("oneills")),
    ):
        prepare(raw, tmp_path / name, chosen)
        texts = read_texts(tmp_path / name, "test")
        assert len(texts) == 88
        assert hashlib.sha256("\n\n".join(texts).encode()).hexdigest() == TEST_TUNES


def test_a_small_slice_takes_no_printed_tune_and_a_missing_archive_is_one_line(tmp_path: Path) -> None:
    own: dict[str, dict[str, str]] = {split: {} for split in ("train", "validation", "test")}
    kept, report = add_tunes(RAW, params(*NAMES, limit=60), own, set())
    assert (kept, report["dropped"]["limit"]["count"]) == ([], 4248)
    with pytest.raises(UserError, match=r"printed_collections\.tar is missing: run `python -m components fetch`"):
        prepare(raw_folder(tmp_path, "\n\n".join(real_tunes())), tmp_path, params("airds"))

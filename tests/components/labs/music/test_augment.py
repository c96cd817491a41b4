"""What training shows of a tune: other keys that fit it, other headers of its kind, and nothing that is not ABC."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from components.datasets.music.abc_notation import check, parse_tune
from components.datasets.music.form import coded_form
from components.datasets.music.form_reader import Form
from components.datasets.music.reader import read_texts
from components.labs.music.params import Train
from components.labs.music.training.augment import (
    GIVEN,
    Augmentation,
    field,
    in_other_keys,
    kind,
    renumbered,
    with_codes,
    with_header,
)
from components.labs.music.training.model import IGNORED, read_vocabulary, to_batches
from components.labs.music.training.transpose import mode, pitches
from tests.face_data import section

JIG = "X:7\nT:The Jig\nZ: id:dc-jig-5\nM:6/8\nL:1/8\nK:D Major\nABA AFA|ABA AFA|ded cBA|BcB BAF:|"
REEL = "X:90\nT:A \\1 Reel\nZ: id:dc-reel-80\nM:C\nL:1/8\nK:G Major\nGABc dedB|G4 B4:|"


@pytest.fixture(scope="module")
def tunes(prepared_music: Path) -> list[str]:
    return read_texts(prepared_music, "train")[::8]


@pytest.fixture(scope="module")
def vocabulary(prepared_music: Path) -> list[str]:
    return read_vocabulary(prepared_music)


def draw(augmentation: Augmentation, index: int) -> str:
    return augmentation.draw(index, random.Random(index))  # noqa: S311


def out_of_range(tune: str) -> int:
    """Semitones below middle C and above the b two octaves up."""
    found = pitches(tune)
    return max(0, -min(found)) + max(0, max(found) - 23)


def augmentation(tunes: list[str], vocabulary: list[str], **changes: object) -> Augmentation:
    params = section(Train, "music", "train")
    forms = {tune: form.line for tune in tunes if (form := coded_form(parse_tune(tune), tune))}
    return Augmentation(tunes, vocabulary, params.model_copy(update=changes), forms=forms)


def test_a_tune_moves_to_keys_of_its_own_mode_only_as_often_as_they_occur(vocabulary: list[str]) -> None:
    keys = Counter({"D Major": 5, "G Major": 3, "A Major": 2, "E Minor": 9})
    variants = in_other_keys(JIG, keys, set(vocabulary))
    assert next(iter(variants)) == JIG
    assert {field(tune, "K"): count for tune, count in variants.items()} == {"D Major": 5, "G Major": 3, "A Major": 2}


def test_a_key_that_cannot_be_written_with_the_alphabet_is_left_out() -> None:
    keys = Counter({"D Major": 5, "G Major": 3})
    assert list(in_other_keys(JIG, keys, set(JIG) - {"G"})) == [JIG]
    assert list(in_other_keys(JIG, Counter({"G Major": 3}), set(JIG))) == [JIG], "its own key is none of the known"


def test_moved_tunes_stay_playable_valid_and_in_their_mode(tunes: list[str], vocabulary: list[str]) -> None:
    keys = Counter(field(tune, "K") for tune in tunes)
    moved = 0
    for tune in [tune for tune in tunes if not check(tune)]:
        for other in list(in_other_keys(tune, keys, set(vocabulary)))[1:]:
            moved += 1
            assert not check(other)
            assert mode(field(other, "K")) == mode(field(tune, "K"))
            assert out_of_range(other) <= out_of_range(tune) + 2
    assert moved > len(tunes)


def test_a_header_is_another_tunes_number_title_and_source_with_the_own_music() -> None:
    tune = with_header(JIG, REEL)
    assert [field(tune, name) for name in "XTZ"] == ["90", "A \\1 Reel", "id:dc-reel-80"]
    assert tune.split("M:6/8")[1] == JIG.split("M:6/8")[1]


@pytest.mark.parametrize(("by", "numbers"), [(3, ("10", "id:dc-jig-8")), (-20, ("1", "id:dc-jig-1"))])
def test_numbers_move_together_and_never_below_one(by: int, numbers: tuple[str, str]) -> None:
    assert tuple(field(renumbered(JIG, by), name) for name in "XZ") == numbers


def test_the_kind_of_a_tune_is_its_sources_else_its_metre() -> None:
    assert kind(JIG) == "dc-jig"
    assert kind(JIG.replace("dc", "on")) == "on-jig", "a tune of another collection gets no header of the lab's own"
    assert kind(JIG.replace("Z: id:dc-jig-5\n", "")) == "6/8"


def test_a_tune_in_a_key_that_the_lab_does_not_write_is_shown_in_those_that_it_does(
    tunes: list[str], vocabulary: list[str]
) -> None:
    flat = JIG.replace("K:D Major", "K:Eb Major").replace("dc", "rm")
    moved = augmentation(tunes, vocabulary).keys
    shown = Augmentation(tunes, vocabulary, section(Train, "music", "train"), [flat])
    drawn = [shown.draw(len(tunes), random.Random(seed)) for seed in range(200)]  # noqa: S311
    keys = Counter(field(tune, "K") for tune in drawn)
    assert "Eb Major" not in keys
    assert {mode(key) for key in keys} == {"maj"}
    assert len(keys) > 2
    assert moved[keys.most_common(1)[0][0]] == max(count for key, count in moved.items() if mode(key) == "maj")


def test_without_any_of_it_a_tune_is_shown_as_it_is(tunes: list[str], vocabulary: list[str]) -> None:
    plain = augmentation(tunes, vocabulary, transpose=False, header_shuffle=0.0, number_jitter=0, form_share=0.0)
    assert [draw(plain, index) for index in range(len(tunes))] == tunes


def test_what_is_drawn_depends_on_the_random_numbers_only(tunes: list[str], vocabulary: list[str]) -> None:
    one, other = (augmentation(tunes, vocabulary) for _ in range(2))
    drawn = [draw(one, index) for index in range(len(tunes))]
    assert drawn == [draw(other, index) for index in range(len(tunes))]
    assert sum(shown != tune for shown, tune in zip(drawn, tunes, strict=True)) > len(tunes) / 2


def test_the_codes_of_a_tune_are_its_form_in_every_key_and_under_every_header(
    tunes: list[str], vocabulary: list[str]
) -> None:
    shown = augmentation(tunes, vocabulary, form_share=1.0)
    for index, tune in enumerate(tunes):
        form = coded_form(parse_tune(tune), tune)
        head, *pieces = draw(shown, index).split(GIVEN)[1:] if form else ("", draw(shown, index))
        music = "".join(pieces[::2])
        assert GIVEN not in music
        assert coded_form(parse_tune(music), music) == form
        if form:
            assert [head, *pieces[1::2]] == [form.head, *form.codes]
            assert [piece.count("\n") for piece in pieces[2:-1:2]] == [1] * (len(form.codes) - 1), (
                "one before each line"
            )


def test_a_share_of_the_tunes_has_codes(tunes: list[str], vocabulary: list[str]) -> None:
    shown = augmentation(tunes, vocabulary, form_share=0.5)
    coded = sum(
        GIVEN in shown.draw(index, random.Random(f"{index}/{time}"))  # noqa: S311
        for index in range(len(tunes))
        for time in range(8)
    )
    assert coded / (8 * len(tunes)) == pytest.approx(0.42, abs=0.05)  # one of six has no form that codes say


def test_codes_are_read_and_nothing_is_learned_of_them(vocabulary: list[str]) -> None:
    tune = "X:1\nK:D\nABcd|!\nefga:|!"
    plain, coded = (
        to_batches([text], vocabulary, 1)[0] for text in (tune, with_codes(tune, Form.of_line("r:2 ....1111:")))
    )
    characters = "".join(vocabulary[index] for index in coded.inputs[0])
    assert characters == "\nr:2 8:\nX:1\nK:D\n2....-ABcd|!\n21111:efga:|"
    kept = coded.targets[0] != IGNORED
    assert (coded.targets[0][kept] == plain.targets[0]).all()
    assert (~kept).sum() == len("r:2 8:\n2....-21111:")

"""The validator says what is a valid tune: real ones are, damaged ones are not, and nothing makes it raise."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labs.music.evaluation.music21_validator import read
from tests.music_data import real_tunes

# Four tunes of the collection: triplets, an upbeat with endings, broken rhythm, a change of key and two sections.
HORNPIPE = """X:4
T:Blackbird
Z: id:dc-hornpipe-4
M:C|
L:1/8
K:D Mixolydian
AG|F2FA GFD2|de (3fed d^cAF|G2GF GFDE|FdcA G2AG|!
F2FA GFD2|de (3fed d^cAG|AdcA GcAG|F2D2 D2:|!
fg|agfa gfeg|fd e^c d=cA2|agfa gfde|fdgf e2 fg|!
a2ge f3e|d^cde fdAG|AdcA GcAG|F2D2 D2:|!"""
JIG = """X:34
T:Donnybrook Fair
M:6/8
L:1/8
K:G Major
D|GFG AGA|Bee dBA|BAB GAB|AGE E2D|!
GFG AGA|Bee dBA|BAB GAB|AGF G2:|!
f|gfe fed|ege dBA|Bee dBA|Bee e2|!
[1 f|gfe fed|ege dBA|BAB GAB|AGF G2:|!
[2 g|gfg aga|bge dBA|BAB GAB|AGF G2|]!"""
POLKA = """X:25
T:Johnny Leary's
Z: id:dc-polka-20
M:2/4
L:1/8
K:D Major
d>B|AF F/G/F/E/|DF FD/F/|AF AF|E2 E3/2|!
[1 B/|AF F/G/F/E/|DF FD/F/|AF/A/ Bc|d2:|!
[2 F/|GE E/F/E/D/|CE E>A|FA Bc|d2|]!"""
TWO_KEYS = """X:9
T:Both Ways
M:6/8
L:1/8
K:A Minor
eAB c2d|edc BAB|cBA AGA|A3 A3::!
K:A Major
ecA ABc|dcB cBA|Bcd efe|A3 A3:|!"""
TUNES = (HORNPIPE, JIG, POLKA, TWO_KEYS)
ALPHABET = "\n !\"#'(),-./0123456789:<=>ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz|"

FULL_BAR_NOTE = re.compile(r"(?<=[|])(?![|\]:12])[^|:\n]*(?=[|][^|\]:\n!])")


@pytest.mark.parametrize("tune", TUNES, ids=lambda tune: tune.split("\n")[1])
def test_a_real_tune_is_valid(tune: str) -> None:
    assert read(tune).faults == ()


def test_nearly_all_real_tunes_are_valid() -> None:
    """The others have bars that were written down wrong, and two have no music at all."""
    refused = [tune for tune in real_tunes() if not read(tune).valid]
    assert len(refused) == 16
    assert sum("no full bar" in str(read(tune).faults) for tune in refused) == 2


WRITTEN = "X:35\nT:Swallwe)st\nM:C\nL:1/8\nK:{key}\nFE|DEFA DFAB|A3B AFFE|DEFA DFAD|F{bar} E2:|\n"
"""From a tune that the model wrote: the validator refused it for its title."""


@pytest.mark.parametrize(
    ("key", "tonic"), [("D", 2), ("Em", 4), ("Ador", 9), ("BbMaj", 10), ("Bb Major", 10), ("F#m", 6), ("D Major", 2)]
)
def test_a_key_may_be_written_short(key: str, tonic: int) -> None:
    reading = read(WRITTEN.format(key=key, bar="EEE"))
    assert reading.faults == ()
    assert reading.tonic == tonic


def test_a_bracket_counts_in_the_music_alone() -> None:
    assert read(WRITTEN.format(key="D", bar='"Em)"EEE')).faults == ()
    for bar in ("(EEE", "EEE)"):
        assert faults(WRITTEN.format(key="D", bar=bar)) == {"unreadable"}


def test_a_letter_for_a_decoration_is_none_of_the_notes() -> None:
    assert read("X:91\nM:C\nL:1/8\nK:D Mixolydian\nD2FD ADD2|ADDC DSD2D|TA2DD OADD2|\n").faults == ()


@given(tune=st.sampled_from(TUNES), data=st.data())
def test_a_note_missing_from_a_bar_between_plain_bar_lines_is_a_fault(tune: str, data: st.DataObject) -> None:
    bar = data.draw(st.sampled_from(bars_between_plain_lines(tune)))
    note = data.draw(st.sampled_from(list(re.finditer(r"[\^=_]?[A-Ga-g][0-9/]*", bar[0]))))
    start, end = bar.start() + note.start(), bar.start() + note.end()
    assert faults(tune[:start] + tune[end:]) == {"bar"}


@given(tune=st.sampled_from(TUNES), data=st.data())
def test_a_note_too_many_is_a_fault_in_any_full_bar(tune: str, data: st.DataObject) -> None:
    bar = data.draw(st.sampled_from(bars_between_plain_lines(tune)))
    assert faults(tune[: bar.end()] + "A" + tune[bar.end() :]) == {"bar"}


@pytest.mark.parametrize("field", ["X", "M", "L", "K"])
@pytest.mark.parametrize("tune", TUNES[:3], ids=lambda tune: tune.split("\n")[1])
def test_a_tune_without_a_required_header_is_not_valid(tune: str, field: str) -> None:
    assert "header" in faults(re.sub(rf"^{field}:.*\n", "", tune, flags=re.MULTILINE))


@given(tune=st.sampled_from(TUNES), junk=st.sampled_from("IJKNQRUVWXYZhijkxyw#;$%&*@0?ñ\0"), data=st.data())
def test_a_character_that_is_no_music_is_a_fault(tune: str, junk: str, data: st.DataObject) -> None:
    bar = data.draw(st.sampled_from(bars_between_plain_lines(tune)))
    assert faults(tune[: bar.start()] + junk + tune[bar.start() :])


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("K:D Mixolydian", "K:H Major", "key"),
        ("K:D Mixolydian", "K:D Mayor", "key"),
        ("K:D Mixolydian", "K:", "header"),
        ("M:C|", "M:6-8", "metre"),
        ("M:C|", "M:4/3", "metre"),
        ("M:C|", "M:6/8", "bar"),
        ("L:1/8", "L:1/16", "bar"),
        ("L:1/8", "L:eighth", "header"),
        ("X:4\n", "X:four\n", "header"),
        ("T:Blackbird\n", "Blackbird\n", "header"),
        ("T:Blackbird", "", "header"),
        ("AG|F2FA", "AG|X:5\nF2FA", "unreadable"),
        ("AG|F2FA", "AG|!\nX:5\nF2FA", "header"),
        ("F2FA", "F2FA M:3/4", "unreadable"),
        ("F2FA", "F2<<<<FA", "note"),
        ("(3fed", "(0fed", "unreadable"),
        ("G2GF", "G2[GF", "note"),
        ("G2GF", "{G2GF", "unreadable"),
        ("G2GF", "G2(GF", "unreadable"),
    ],
)
def test_the_fault_is_named(old: str, new: str, kind: str) -> None:
    assert old in HORNPIPE
    assert kind in faults(HORNPIPE.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", " ", "X", "X:1", "\n\n\n", HORNPIPE[: HORNPIPE.index("AG|")]])
def test_a_text_without_a_full_bar_of_music_is_not_valid(text: str) -> None:
    assert not read(text).valid


@given(st.text(alphabet=ALPHABET, max_size=300) | st.text(max_size=300))
def test_nonsense_is_refused_without_an_error(text: str) -> None:
    assert not read(text).valid


@given(st.text(alphabet="|:[]12()3{}abcABC^_=/<>-. \n", max_size=200))
def test_nonsense_under_a_good_header_never_raises(text: str) -> None:
    read(HORNPIPE[: HORNPIPE.index("AG|")] + text)


@pytest.mark.parametrize("unit", ["[", '"', "(", "(3", "{", "<", "a<", "^", "9", "!a", "M:4/4\n", "|1", "\0", "[a"])
def test_a_very_long_text_is_read_to_its_end(unit: str) -> None:
    assert not read(HORNPIPE + unit * 2_000).valid


def test_notes_are_read_with_the_accidentals_of_key_and_bar() -> None:
    reading = read("X:1\nM:4/4\nL:1/8\nK:D Major\nc2 =c2 c2 C2|z4 (3ABc A>B|")
    assert reading.tonic == 2
    assert [note.midi for note in reading.notes] == [73, 72, 72, 60, 69, 71, 73, 69, 71]
    lengths = [1, 1, 1, 1, Fraction(1, 3), Fraction(1, 3), Fraction(1, 3), Fraction(3, 4), Fraction(1, 4)]
    assert [note.length for note in reading.notes] == lengths


def faults(tune: str) -> set[str]:
    return {fault.kind for fault in read(tune).faults}


def bars_between_plain_lines(tune: str) -> list[re.Match[str]]:
    """Bars on one line of music, `|` on both sides: such a bar must be full."""
    return [bar for bar in FULL_BAR_NOTE.finditer(tune) if len(re.findall("[A-Ga-g]", bar[0])) > 2]

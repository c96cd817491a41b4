"""Standard ABC 2.1: what is read, what is passed over because it does not sound, and what is refused by name."""

from fractions import Fraction
from importlib.util import find_spec

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.datasets.music.abc_notation import Tune
from components.datasets.music.abc_standard import read_standard
from components.datasets.music.repeats import expand, played_bars
from components.errors import UserError

HEADER = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:C\n"
PLAIN = "CDEF GABc|cBAG FEDC|"


def read(music: str, header: str = HEADER) -> Tune:
    tune = read_standard(header + music)
    assert not tune.faults
    return tune


def pitches(music: str, header: str = HEADER) -> list[int]:
    return [pitch for note in read(music, header).notes for pitch in note.pitches]


def eighths(music: str, header: str = HEADER) -> list[Fraction]:
    return [note.duration * 8 for note in read(music, header).notes]


def played(music: str, header: str = HEADER) -> list[int]:
    tune = read(music, header)
    bars = played_bars(len(tune.notes), tune.marks, tune.headers.get("P", ""))
    return [pitch for bar in bars for place in bar for pitch in tune.notes[place].pitches]


@pytest.mark.parametrize(
    "music",
    [
        "CDEF \\\nGABc|\\ % goes on\ncBAG FEDC|",
        "CDEF GABc|\\\n% a comment\ncBAG FEDC|",
        "CDEF GABc|\n% a comment\ncBAG FEDC|",
        "CDEF GABc|\n%%staffsep 40\ncBAG FEDC|",
        "CDEF GABc|\n%%begintext\nABC in words: cde|\n%%endtext\ncBAG FEDC|",
        "CDEF GABc| % ABC\ncBAG FEDC|",
        "CD`EF ``GABc|cB`AG FEDC|",
        "CDEFy GyABc|cBAGy2 FEDC|",
        "uCvDTEF .G~ABc|cBAG HFEDC|",
        "(CDE)F (GABc|cBAG) FEDC)|",
        ".(CDEF.) GABc|cBAG FEDC.|",
        "!trill!CDEF +fermata+GA!mf!B!f!c|cBAG FED!fine!C|",
        '"Am7"CDEF "^above"GABc|"<(" cBAG ">)" FEDC|',
        "{cd}CDEF {/g}GABc|cBAG FEDC|",
        "CDEF GABc$|*cBAG;FED@C!|",
        "P:A\nCDEF GABc|\nP:B\ncBAG FEDC|",
        "CDEF GABc|\nN:a note\nR:reel\nI:linebreak $\nr:remark\nZ:nobody\ncBAG FEDC|",
        "CDEF GABc|\nw:do re mi fa\ns:!p! * !f!\ncBAG FEDC|\nW:words",
        "[r:remark]CDEF [N:note]GABc|[P:B]cBAG FEDC|",
        'V:1 name="Fiddle" clef=treble\nCDEF GABc|\nV:1\ncBAG FEDC|',
        "[V:T1]CDEF GABc|[V:T1]cBAG FEDC|",
        "U:W=!trill!\nCDWEF GABc|cBAG FEDC|",
        "kCDEF GABc|cBAG FEkDC|",
        "CDEF GABc|\nw:one\n+:two\ncBAG FEDC|",
        "CDEF GABc|cBAG FEDC",
        "CDEF GABc[|]cBAG FEDC.|",
    ],
)
def test_what_does_not_sound_is_passed_over_and_what_sounds_is_not(music: str) -> None:
    assert pitches(music) == pitches(PLAIN)
    assert eighths(music) == eighths(PLAIN)


def test_signs_may_stand_within_tuplets_chords_and_broken_rhythms() -> None:
    assert eighths('(3uAvB"x"c (3:2:2!p!A`B C u>B|')[:3] == [Fraction(2, 3)] * 3
    assert eighths("C u>D|C {g}<D|C!p!>D|") == [Fraction(n, 2) for n in (3, 1, 1, 3, 3, 1)]
    assert pitches('[!1!C"x"EuG]2|') == [60, 64, 67]


def test_bars_of_rest_last_as_long_as_the_metre_says() -> None:
    assert eighths("C8|Z2|C8|Z|") == [8, 16, 8, 8]
    assert eighths("X3|C6|", "X:1\nM:6/8\nL:1/8\nK:C\n") == [18, 6]
    assert "(Z) without a metre" in read_standard("X:1\nM:none\nL:1/8\nK:C\nZ|").faults[0]
    assert "(Z) within a bar" in read_standard(HEADER + "C4 Z|").faults[0]


@pytest.mark.parametrize(
    ("metre", "length"),
    [("none", None), ("", None), ("C", 1), ("(2+3+2)/8", Fraction(7, 8)), ("2+3/8", Fraction(5, 8))],
)
def test_metres_are_those_of_the_standard(metre: str, length: Fraction | None) -> None:
    assert read("C|", f"X:1\nM:{metre}\nL:1/8\nK:C\n").metre == length


def test_the_unit_length_follows_from_the_metre_where_no_field_gives_it() -> None:
    assert eighths("C|", "X:1\nM:6/8\nK:C\n") == [1]
    assert eighths("C|", "X:1\nM:2/4\nK:C\n") == [Fraction(1, 2)]
    assert eighths("C|", "X:1\nK:C\n") == [1]
    assert eighths("C|", "X:1\nM:2/4\nL:1\nK:C\n") == [8]
    assert eighths("C/3 C2/3|") == [Fraction(1, 3), Fraction(2, 3)]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("Ddor", "DEFGABc"),
        ("D dorian clef=treble", "DEFGABc"),
        ("DMIXolydian", "DE^FGABc"),
        ("D exp ^c", "DEFGAB^c"),
        ("Dmix=f ^g", "DEF^GABc"),
        ("D =c", "DE^FGABc"),
        ("Hp", "DE^FGAB^c"),
        ("HP", "DE^FGAB^c"),
        ("none", "DEFGABc"),
        ("", "DEFGABc"),
        ("C treble", "DEFGABc"),
        ("C clef=treble-8", "D,E,F,G,A,B,C"),
        ("C octave=-1", "D,E,F,G,A,B,C"),
        ("C transpose=2", "E^FGAB^c d"),
        ("G middle=d stafflines=4", "DE^FGABc"),
    ],
)
def test_keys_are_those_of_the_standard(key: str, found: str) -> None:
    assert pitches("DEFGABc|", f"X:1\nM:C\nL:1/8\nK:{key}\n") == pitches(found)


def test_a_field_that_names_a_clef_keeps_the_key() -> None:
    assert pitches("F|[K:bass]F|[K:clef=alto]F|[K:C]F|", "X:1\nM:C\nK:G\n") == [66, 66, 66, 65]


def test_ties_within_a_chord_hold_only_their_notes() -> None:
    note = read("[C-EG]4[CEG]4|").notes[0]
    assert (note.tied, note.held) == (False, (60,))


@pytest.mark.parametrize(
    ("music", "order"),
    [
        ("|::C::|D|", "CCCD"),
        ("|:C:||:D:|", "CCDD"),
        ("|:C|[1-3D:|[4E|]", "CDCDCDCE"),
        ("|:C|1,2D:|3E|]", "CDCDCE"),
        ("[K:D]|:C|[K:C]D:|", "^CD^CD"),
        ("C|\nP:B\nD:|", "CDD"),
        (": C|D:|", "CDCD"),
    ],
)
def test_repeats_are_played_out(music: str, order: str) -> None:
    expected = pitches(order)
    got = played(music)
    assert got[: len(expected)] == expected if "K:" not in music else got[1:4:2] == [62, 62]


@pytest.mark.parametrize(
    ("order", "played_order"), [("ABA", "CDC"), ("A2.B", "CCD"), ("(AB)2", "CDCD"), ("A(AB)2B3", "CCDCDDDD")]
)
def test_parts_are_played_in_the_order_of_the_header(order: str, played_order: str) -> None:
    header = HEADER.replace("K:", f"P:{order}\nK:")
    assert played("P:A\nC|\nP:B\nD|", header) == pitches(played_order)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("ABC", "part C, which the tune does not have"),
        ("AA", "part B of the tune is not in P:AA"),
        ("(AB", "without"),
        ("3AB", "no order of parts"),
        ("(((AB)99)99)99", "more than 1000 parts"),
    ],
)
def test_an_order_that_cannot_be_played_is_refused(order: str, reason: str) -> None:
    tune = read("P:A\nC|\nP:B\nD|")
    with pytest.raises(UserError, match=reason):
        played_bars(len(tune.notes), tune.marks, order)


@given(st.text(alphabet="AB()29. ", max_size=30))
def test_any_order_of_parts_is_expanded_or_refused(order: str) -> None:
    try:
        assert len(expand(order)) <= 1000
    except UserError as error:
        assert "\n" not in str(error)


def test_so_many_repeats_are_refused() -> None:
    tune = read("|" + ":" * 4000 + "C" * 500 + "|")
    with pytest.raises(UserError, match="more than 100,000 notes"):
        played_bars(len(tune.notes), tune.marks)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEADER + "V:1\nC8|\nV:2\nC,8|", "bar 2 (line 9): several voices (V:2)"),
        (HEADER + "[V:1]C8|\n[V:2]C,8|", "bar 2 (line 7): several voices (V:2)"),
        (HEADER + "C4 & E4|", "bar 1 (line 6): a voice overlay (&), which is several voices at once"),
        (HEADER + "C8|\nX:2\nK:C\nC8|", "line 7: several tunes"),
        (HEADER + "C8|\n\n" + HEADER + "C8|", "line 8: several tunes"),
        (HEADER + "C8|\n\nC8|", "line 8: text after an empty line, which ends a tune"),
        ("X:1\nCDEF|\nK:C\nC8|", "line 2: a line before K: that is no field"),
        ("CDEF\n" + HEADER + "C8|", "line 1: text before X:, which begins a tune"),
        ("X:1\nm:~n2=no/4n\nK:C\nC8|", "line 2: a macro (m:)"),
        ("X:1\nM:2/4\n+:3/4\nK:C\nC8|", "line 3: a M: field that is continued"),
        (HEADER + "C8|!D.C.!C8|", "bar 2 (line 6): a jump (!D.C.!)"),
        (HEADER + "C8|!8va(!C8!8va)!|", "bar 2 (line 6): an octave sign (!8va(!)"),
        (HEADER + "C8|!CDEF!C8|", "bar 2 (line 6): notes between two signs of a decoration ('CDEF')"),
        (HEADER + "+CEG+ C6|", "bar 1 (line 6): notes between two signs of a decoration ('CEG')"),
        (HEADER + 'C8|"Am C8|', "bar 2 (line 6): cannot read '\"'"),
        (HEADER + "C8|\nQ:1/4=90\nC8|\nQ:1/4=60\nC8|", "bar 3 (line 9): a change of tempo (Q:1/4=60)"),
        (HEADER + "I:propagate-accidentals octave\nC8|", "accidentals that hold otherwise"),
        (HEADER + "%%propagate-accidentals not\nC8|", "accidentals that hold otherwise"),
        (HEADER + "%%begintext\nC8|\nC8|", "line 6: a block %%begintext without its end"),
        (HEADER + "The quick brown fox jumped\nC8|", "bar 1 (line 6): cannot read"),
        ("X:1\nM:5/7\nK:C\nC8|", "unknown metre '5/7'"),
        ("X:1\nK:Bn\nC8|", "unknown key 'Bn'"),
        ("X:1\nL:1/3\nK:C\nC8|", "unknown unit length '1/3'"),
    ],
)
def test_what_is_not_played_is_refused_by_its_name_and_place(text: str, fault: str) -> None:
    assert fault in read_standard(text).faults[0]


def test_what_stands_before_a_tune_in_its_file_is_no_part_of_it() -> None:
    tune = read_standard("%abc-2.1\n\nM:6/8\nL:1/4\n\nA tune from a book.\n\nX:1\nK:C\nC|\n\n% the end\n")
    assert not tune.faults
    assert (tune.metre, tune.unit) == (Fraction(3, 4), Fraction(1, 4))
    assert len(tune.notes) == 1
    assert not read_standard("\ufeffX:1\r\nK:C\r\nC8|\r\n").faults


LINES = [
    "CDEF GABc|",
    "|:c2B2 A4:|",
    "% a comment",
    "%%staffsep 1",
    "w:words",
    "N:note",
    "z8|\\",
    "[CEG]8|",
    "P:A",
    "Z|",
]


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=12))
def test_no_line_of_music_is_lost_whatever_stands_between(lines: list[str]) -> None:
    tune = read("\n".join(lines))
    counts = {"CDEF GABc|": 8, "|:c2B2 A4:|": 3, "z8|\\": 1, "[CEG]8|": 1, "Z|": 1}
    assert len(tune.notes) == sum(counts.get(line, 0) for line in lines)
    bars = played_bars(len(tune.notes), tune.marks, "")
    assert {place for bar in bars for place in bar} == set(range(len(tune.notes)))


@given(st.text(alphabet="\n|:[]()<>-^_=,'/0123456789ABCGKMPVXZabgz!\"%{}~&`\\+$ ", max_size=200))
@example("%%begin")
@example("+:")
@example("U:\nK:\n")
def test_any_jumble_gets_an_answer(text: str) -> None:
    for each in (text, HEADER + text):
        assert read_standard(each) == read_standard(each)


@pytest.mark.skipif(find_spec("music21") is None, reason="music21, which carries the collections, is not installed")
def test_other_peoples_collections_play_without_a_lost_note() -> None:
    """Each 60th of 4,248 tunes; `python -m benchmarks.abc_collections` takes them all."""
    from benchmarks.abc_collections import collections, counted, read, unplayed

    texts = [text for _, text in collections()][::60]
    found = [text for text in texts if not read_standard(text).faults]
    assert len(texts) > 60
    assert len(found) >= 0.94 * len(texts)
    assert [text for text in found if counted(text) != read(text) or unplayed(text)] == []

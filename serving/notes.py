"""ABC read as a player reads it: one line of timed notes, repeats unfolded, ties joined.

Written here, in Python, because the ABC players to be had (abc2midi, which symusic runs; verovio) are C programs that
crash on about one mutated tune in a hundred: nothing to hand a stranger's text to. The tests hold this reader equal to
abc2midi on every tune of the collection. It follows the ABC standard 2.1 (abcnotation.com/wiki/abc:standard:v2.1).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from components.errors import UserError

MAX_TEXT = 20_000  # characters; the longest tune of the collection has 1,900
MAX_NUMBER = 256  # largest numerator or denominator of a written length
MAX_CHORD = 8  # notes sounding together

_TOKEN = re.compile(
    r"""(?P<comment>%.*)
    |(?P<field>\[[A-Za-z]:[^\]]*\])
    |(?P<ending>\[\d[\d,-]*)
    |(?P<bar>(?P<sign>\[\||:*\|[\|\]:]*|::+)(?P<number>\d[\d,-]*)?)
    |(?P<tuplet>\(\d(?::\d?){0,2})
    |(?P<chord>\[[^\]\[|]*\](?P<chord_length>\d*/*\d*))
    |(?P<note>(?P<accidental>\^{1,2}|_{1,2}|=)?(?P<letter>[A-Ga-gxz])(?P<octave>[',]*)(?P<length>\d*/*\d*))
    |(?P<wholerest>[XZ](?P<bars>\d*))
    |(?P<broken><{1,3}|>{1,3})
    |(?P<tie>-)
    |(?P<ignored>"[^"]*"|\{[^}]*\}|![^!\s|]*!|\+[^+\s|]*\+|[!~.()\\`*yHLMOPSTuv\s])""",
    re.VERBOSE,
)
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FIFTHS = "FCGDAEB"  # sharps are added in this order, flats in the reverse
_MODES = {"": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3, "mix": -1, "dor": -2, "phr": -4, "lyd": 1}
_ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}


class Note(NamedTuple):
    """One sounding note. Times are in whole notes from the start of the tune, `pitch` is MIDI's (A4 is 69)."""

    start: Fraction
    length: Fraction
    pitch: int
    accented: bool  # the first of its bar


class Melody(NamedTuple):
    """A tune ready to be played: its headers (the first of each letter), its notes, and its length in whole notes."""

    headers: dict[str, str]
    notes: list[Note]
    length: Fraction


@dataclass
class _Event:
    """A note, a chord or (without pitches) a rest, `length` in whole notes."""

    pitches: tuple[int, ...]
    length: Fraction
    tied: bool = False


@dataclass
class _Bar:
    events: list[_Event] = field(default_factory=list)
    endings: frozenset[int] = frozenset()  # played only on these passes through its section; empty: on each


@dataclass
class _Section:
    """What a repeat repeats: from a repeat sign or double bar to the next."""

    opened: bool = False  # by a written |:
    repeated: bool = False
    bars: list[_Bar] = field(default_factory=lambda: [_Bar()])

    def played(self) -> Iterator[_Bar]:
        passes = max((number for bar in self.bars for number in bar.endings), default=1 + self.repeated)
        for number in range(1, passes + 1):
            yield from (bar for bar in self.bars if not bar.endings or number in bar.endings)


def melody(abc: str) -> Melody:
    """The notes of the first tune in `abc`. Raises UserError that names the line and what can't be played."""
    if len(abc) > MAX_TEXT:
        raise UserError(f"the tune has {len(abc):,} characters, at most {MAX_TEXT:,} can be played")
    reader = _Reader()
    for number, line in enumerate(abc.strip().splitlines(), start=1):
        if not line.strip():
            break
        try:
            reader.read(line)
        except UserError as error:
            raise UserError(f"line {number} of the tune: {error}") from None
    notes, length = _timed(reader.sections)
    if not notes:
        raise UserError("the tune has no notes to play")
    return Melody(reader.headers, notes, length)


class _Reader:
    """Reads lines of ABC into sections of bars."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.sections = [_Section()]
        self.unit = Fraction(1, 8)
        self.metre = Fraction(1)
        self.compound = False
        self.key: dict[str, int] = {}
        self._start_bar()

    def read(self, line: str) -> None:
        if re.match(r"[A-Za-z]:(?![|:])", line):
            self._header(line[0], line[2:].split("%")[0].strip())
            return
        position = 0
        while position < len(line):
            token = _TOKEN.match(line, position)
            if token is None:
                raise UserError(f"{line[position]!r} at column {position + 1} is not ABC that can be played")
            self._token(token)
            position = token.end()

    def _token(self, token: re.Match[str]) -> None:
        match token.lastgroup:  # the alternative that matched: its group closes after those inside it
            case "field":
                self._header(token["field"][1], token["field"][3:-1].strip())
            case "bar":
                self._bar(token["sign"], token["number"])
            case "ending":
                self._ending(token["ending"][1:])
            case "tuplet":
                self._tuplet(token["tuplet"][1:].split(":"))
            case "note":
                self._add(_Event(self._pitches(token), self.unit * _ratio(token["length"])))
            case "chord":
                self._chord(token["chord"], token["chord_length"])
            case "wholerest":
                self._add(_Event((), self.metre * _number(token["bars"] or "1")))
            case "broken":
                self._broken(token["broken"])
            case "tie":
                if self.bar.events:
                    self.bar.events[-1].tied = True

    def _header(self, letter: str, value: str) -> None:
        self.headers.setdefault(letter, value)
        if letter == "L":
            self.unit = _fraction(value, "unit length L")
        elif letter == "K":
            self.key = key_signature(value)
        elif letter == "M":
            common = {"C": "4/4", "C|": "2/2", "none": "4/4"}.get(value, value)
            self.metre = _fraction(common, "metre M")
            self.compound = common.split("/")[0] in ("6", "9", "12")
            if "L" not in self.headers:  # the standard's default
                self.unit = Fraction(1, 16) if self.metre < Fraction(3, 4) else Fraction(1, 8)

    def _start_bar(self) -> None:
        self.accidentals: dict[str, int] = {}  # written in this bar, by letter: they hold in every octave
        self.tuplet = (Fraction(1), 0)  # factor, notes left
        self.stretch = Fraction(1)  # of the next note, by a broken rhythm

    @property
    def bar(self) -> _Bar:
        return self.sections[-1].bars[-1]

    def _bar(self, sign: str, ending: str | None) -> None:
        section = self.sections[-1]
        closes, opens = sign.startswith(":"), sign.endswith(":")
        section.repeated |= closes
        double = sign in ("||", "|]") and not section.opened
        if opens or ((closes or double) and not ending):
            self.sections.append(_Section(opened=opens))
        elif self.bar.events:
            section.bars.append(_Bar(endings=frozenset() if closes else self.bar.endings))
        self._start_bar()
        if ending:
            self._ending(ending)

    def _ending(self, written: str) -> None:
        """`[2` just after `:|` goes on with the section that the sign seemed to end."""
        if len(self.sections) > 1 and self.sections[-1] == _Section() and self.sections[-2].repeated:
            self.sections.pop()
            self.sections[-1].bars.append(_Bar())
        elif self.bar.events:
            self.sections[-1].bars.append(_Bar())
        numbers = [int(number) for number in re.findall(r"\d", written)]
        self.bar.endings = frozenset(range(numbers[0], numbers[-1] + 1) if "-" in written else numbers)

    def _tuplet(self, parts: list[str]) -> None:
        """(p:q:r puts p notes into the time of q, for the next r notes."""
        notes = int(parts[0])
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(notes, 3 if self.compound else 2)
        time = int(parts[1]) if len(parts) > 1 and parts[1] else usual
        count = int(parts[2]) if len(parts) > 2 and parts[2] else notes
        if not (notes and time):
            raise UserError("a tuplet of no notes")
        self.tuplet = (Fraction(time, notes), count)

    def _chord(self, written: str, length: str) -> None:
        """The first note's length is the chord's."""
        inner = [token for token in _TOKEN.finditer(written.split("]")[0][1:]) if token["note"]]
        if not 0 < len(inner) <= MAX_CHORD:
            raise UserError(f"a chord of {len(inner)} notes, 1 to {MAX_CHORD} can be played")
        pitches = tuple(pitch for token in inner for pitch in self._pitches(token))
        self._add(_Event(pitches, self.unit * _ratio(inner[0]["length"]) * _ratio(length)))

    def _pitches(self, token: re.Match[str]) -> tuple[int, ...]:
        letter = token["letter"]
        if letter in "xz":
            return ()
        octave = 5 + letter.islower() + token["octave"].count("'") - token["octave"].count(",")
        name = letter.upper()
        if token["accidental"]:
            self.accidentals[name] = _ACCIDENTALS[token["accidental"]]
        pitch = 12 * octave + _SEMITONES[name] + self.accidentals.get(name, self.key.get(name, 0))
        if not 0 <= pitch <= 127:
            raise UserError(f"{token['note']} is outside MIDI's range")
        return (pitch,)

    def _add(self, event: _Event) -> None:
        factor, left = self.tuplet
        event.length *= self.stretch * (factor if left else 1)
        self.tuplet = (factor, max(0, left - 1))
        self.stretch = Fraction(1)
        self.bar.events.append(event)

    def _broken(self, sign: str) -> None:
        """a>b makes a half as long again and b half as long; >> and >>> go further."""
        if not self.bar.events:
            raise UserError(f"{sign} has no note before it in its bar")
        short = Fraction(1, 2 ** len(sign))
        before, self.stretch = (2 - short, short) if sign[0] == ">" else (short, 2 - short)
        self.bar.events[-1].length *= before


def key_signature(written: str) -> dict[str, int]:
    """The key's sharps (1) and flats (-1) by letter: "D Mixolydian" gives {"F": 1}. Raises UserError if unknown."""
    if written.split(" ")[0] in ("", "none", "HP"):
        return {}
    key = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", written)
    mode = key and _MODES.get(key[3].lower()[:3])
    if key is None or mode is None:
        raise UserError(f"unknown key {written[:40]!r}: write a tonic and a mode, as in 'D Mixolydian'")
    fifths = _FIFTHS.index(key[1]) - 1 + {"#": 7, "b": -7, "": 0}[key[2]] + mode
    if abs(fifths) > 7:
        raise UserError(f"the key {written[:40]!r} has more than seven sharps or flats")
    return dict.fromkeys(_FIFTHS[:fifths], 1) if fifths >= 0 else dict.fromkeys(_FIFTHS[fifths:], -1)


def _timed(sections: list[_Section]) -> tuple[list[Note], Fraction]:
    """Unfolds the sections into timed notes, in order of start, with tied notes joined."""
    notes: list[Note] = []
    held: dict[int, int] = {}  # pitch to the index of its note, tied over from the event before
    time = Fraction(0)
    for bar in (bar for section in sections for bar in section.played()):
        for number, event in enumerate(bar.events):
            holding = {}
            for pitch in event.pitches:
                if pitch in held:
                    index = held[pitch]
                    notes[index] = notes[index]._replace(length=notes[index].length + event.length)
                else:
                    index = len(notes)
                    notes.append(Note(time, event.length, pitch, accented=number == 0))
                holding[pitch] = index
            held = holding if event.tied else {}
            time += event.length
    return notes, time


def _number(digits: str) -> int:
    number = int(digits[:4])
    if not 0 < number <= MAX_NUMBER or len(digits) > 4:
        raise UserError(f"the length {digits[:20]} is outside 1 to {MAX_NUMBER}")
    return number


def _ratio(written: str) -> Fraction:
    """A written length as a multiple of the unit: "" is 1, "3" is 3, "/" is 1/2, "//" is 1/4, "3/2" is 3/2."""
    numerator, slashes, denominator = re.fullmatch(r"(\d*)(/*)(\d*)", written).groups()  # type: ignore[union-attr]
    top = _number(numerator or "1")
    bottom = _number(denominator) if denominator else _number(str(2 ** min(len(slashes), 9)))
    return Fraction(top, bottom)


def _fraction(written: str, what: str) -> Fraction:
    fraction = re.fullmatch(r"(\d{1,3})/(\d{1,3})", written.strip())
    if fraction is None:
        raise UserError(f"the {what} is {written[:40]!r}: write a fraction, as in 6/8")
    return Fraction(_number(fraction[1]), _number(fraction[2]))

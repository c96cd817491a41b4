"""Reading the music of a tune, token by token, into notes and bars."""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from components.datasets.music.elements import TICKS, Bar, Mark, Note, passes
from components.datasets.music.music_theory import bar_length, key_signature, note_length, unit_length

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}

_LENGTH = "[0-9]{0,2}(?:/(?:[0-9]{1,2}|/{0,5}))?"
_ENDINGS = "[1-9](?:[,-][1-9]){0,4}"
# The fields that may stand within a tune. No note is among them: a line of music may well begin with "A:|".
_FIELD_LINE = re.compile(r"([IKLMNPQRTUVWmrsw]):(.*)")
# Every alternative stops at what could begin another match of its kind, so that no text is scanned twice.
TOKEN = rf"""(?P<space>\s+)
    | (?P<note>(?P<accidental>\^{{1,2}}|_{{1,2}}|=)?(?P<letter>[A-Ga-gzx])(?P<octave>[,']{{0,3}})(?P<length>{_LENGTH}))
    | (?P<ending>\[{_ENDINGS})
    | (?P<bar>::+|:*\|[|:]*\]?:*(?:{_ENDINGS})?|\[\|[\]:]*)
    | (?P<field>\[[A-Za-z]:[^][\n]*\])
    | (?P<tuplet>\((?P<p>[2-9])(?::(?P<q>[1-9]?)(?::(?P<r>[1-9]?))?)?)
    | (?P<chord>\[|\](?P<chord_length>{_LENGTH}))
    | (?P<broken>>{{1,3}}|<{{1,3}})
    | (?P<tie>-)
    | (?P<slur>[()])
    | (?P<decoration>[~HLMOPSTuv])
    | (?P<ignored>                      # chord symbols, decorations in words, grace notes, dots (of a slur, too),
        "[^"\n]*"|![A-Za-z.()<>+0-9]+!|\{{[][A-Ga-g,'^_=0-9/>< ]*\}}|\.
        |!(?=\s|\Z))                    # and the "!" that ends this collection's lines
    | (?P<unknown>[^\sA-Ga-gzx|:[\](){{}}"!<>^_=.~-]+|.)"""
"""What music is made of, as a verbose regular expression."""


@dataclass
class Reader:
    """What has been read, and the state between one token and the next."""

    tokens: ClassVar[re.Pattern[str]] = re.compile(TOKEN, re.VERBOSE)

    key: dict[str, int] | None = None
    metre: Fraction | None = None
    unit: Fraction = Fraction(1, 8)
    notes: list[Note] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    compound: bool = False
    """A beat of the metre has three parts, which decides how long some tuplets are."""

    _line: int = 0
    _bar_ticks: int = 0
    _bar_full: int | None = None
    _opens: bool = True
    _ending: bool = False
    _accidentals: dict[str, int] = field(default_factory=dict)
    _chord: list[int] | None = None
    _chord_ticks: int = 0
    _chord_held: list[int] = field(default_factory=list)
    _tuplet: tuple[int, int] = (1, 1)
    _tuplet_left: int = 0
    _broken: str = ""
    """The sign of a broken rhythm that waits for its second note."""
    _decorated: bool = False
    """A decoration waits for its note."""
    _endings: int = 0
    """The highest number of an ending so far."""
    _slurs: int = 0
    """How many are open."""
    _after_note: bool = False
    """A note came before in this bar, so a tie or a broken rhythm may follow."""

    def read_field(self, letter: str, value: str) -> None:
        """A header, or a change of key, metre or unit length on the way; other fields say nothing about the notes."""
        if letter == "K":
            self.key = key_signature(value)
            if self.key is None:
                self.faults.append(f"unknown key {value[:20]!r}")
        elif letter == "M":
            self.metre = bar_length(value)
            self.compound = value in ("6/8", "9/8", "12/8")
            if self.metre is None:
                self.faults.append(f"unknown metre {value[:20]!r}")
        elif letter == "L":
            unit = unit_length(value)
            self.unit = unit or self.unit
            if unit is None:
                self.faults.append(f"unknown unit length {value[:20]!r}")

    def read_line(self, line: str, number: int) -> None:
        """A line after the headers. `number`: the line's, from 1."""
        self._line = number
        match = _FIELD_LINE.match(line)
        if match:
            self.read_field(match[1], match[2].strip())
            return
        self.read_music(line)

    def read_music(self, line: str) -> None:
        for token in self.tokens.finditer(line):
            self._read_token(token)

    def _read_token(self, token: re.Match[str]) -> None:
        match token.lastgroup:
            case "note":
                self._read_note(token)
            case "bar" | "ending":
                self._read_bar(token[0])
            case "chord":
                self._read_chord(token)
            case "tuplet":
                self._read_tuplet(token)
            case "broken":
                self._read_broken(token[0])
            case "tie":
                self._read_tie()
            case "decoration":
                self._decorated = True
            case "slur":
                self._read_slur(token[0])
            case "field":
                self.read_field(token[0][1], token[0][3:-1].strip())
            case "unknown":
                self._fault(f"cannot read {token[0][:20]!r}")

    @property
    def opens(self) -> bool:
        """The next bar follows the edge of a section."""
        return self._opens

    @property
    def ending(self) -> bool:
        """The next bar starts an ending."""
        return self._ending

    @property
    def open_slurs(self) -> int:
        return self._slurs

    def start_bar(self) -> None:
        """Forgets the accidentals of a bar, which a copy of another reader would share with it."""
        self._accidentals = {}

    def finish(self) -> None:
        """The end of the tune."""
        if self._bar_ticks:
            self._fault("no bar line at the end")
        if self._slurs:
            self.faults.append("'(' without ')'")
        self._close_bar(edge=True)

    def _fault(self, message: str) -> None:
        self.faults.append(f"bar {len(self.bars) + 1} (line {self._line}): {message}")

    def _read_note(self, token: re.Match[str]) -> None:
        self._decorated = False
        letter = token["letter"]
        is_rest = letter in "zx"
        if is_rest and (token["accidental"] or token["octave"] or self._chord is not None):
            self._fault(f"cannot read {token[0]!r}")
        pitches = () if is_rest else (self._pitch(token["accidental"], letter, token["octave"]),)
        ticks = self._scaled(self.unit.numerator * TICKS // self.unit.denominator, token["length"])
        if self._chord is None:
            self._add(pitches, ticks)
        else:
            self._chord_ticks = self._chord_ticks or ticks
            self._chord.extend(pitches)

    def _pitch(self, accidental: str | None, letter: str, octave: str) -> int:
        """MIDI number. An accidental holds until the bar line, in every octave (the standard's default)."""
        name = letter.upper()
        if accidental:
            self._accidentals[name] = ACCIDENTALS[accidental]
        shift = self._accidentals.get(name, (self.key or {}).get(name, 0))
        octaves = octave.count("'") - octave.count(",") + letter.islower()
        return 60 + SEMITONES[name] + shift + 12 * octaves

    def _scaled(self, ticks: int, length: str) -> int:
        parts = note_length(length)
        if parts is None:
            self._fault(f"no note lasts {length!r}")
            return ticks
        return ticks * parts[0] // parts[1]

    def _add(self, pitches: tuple[int, ...], ticks: int) -> None:
        """Puts a note, chord or rest at the end of the bar, with the tuplet and the broken rhythm it stands in."""
        if self._tuplet_left:
            ticks = ticks * self._tuplet[0] // self._tuplet[1]
            self._tuplet_left -= 1
        if self._broken:
            # A>B: 3/2 and 1/2 of what is written; A>>B: 7/4 and 1/4; A<B: the other way round.
            whole = 2 ** len(self._broken)
            shares = (2 * whole - 1, 1) if self._broken[0] == ">" else (1, 2 * whole - 1)
            before = self.notes[-1]
            self.notes[-1] = before._replace(ticks=before.ticks * shares[0] // whole)
            self._bar_ticks += self.notes[-1].ticks - before.ticks
            ticks = ticks * shares[1] // whole
            self._broken = ""
        if not self._bar_ticks:
            self._bar_full = None if self.metre is None else self.metre.numerator * TICKS // self.metre.denominator
        self.notes.append(Note(pitches, ticks))
        self._bar_ticks += ticks
        self._after_note = True

    def _read_chord(self, token: re.Match[str]) -> None:
        if token[0] == "[":
            if self._chord is not None:
                self._fault("a chord within a chord")
            self._chord, self._chord_ticks, self._chord_held = [], 0, []
        elif not self._chord:
            self._fault("']' without the notes of a chord")
            self._chord = None
        else:
            # A chord lasts what its first note does, times the length after it.
            pitches, self._chord = tuple(self._chord), None
            self._add(pitches, self._scaled(self._chord_ticks, token["chord_length"]))
            self.notes[-1] = self.notes[-1]._replace(held=tuple(self._chord_held))

    def _read_tuplet(self, token: re.Match[str]) -> None:
        """(p:q:r is p notes in the time of q, for the next r notes."""
        if self._tuplet_left:
            self._fault("a tuplet within a tuplet")
        p = int(token["p"])
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(p, 3 if self.compound else 2)
        self._tuplet = (int(token["q"] or usual), p)
        self._tuplet_left = int(token["r"] or p)

    def _read_broken(self, sign: str) -> None:
        if not self._after_note or self._broken or self._decorated or self._chord is not None:
            self._fault(f"{sign!r} is not between two notes")
        else:
            self._broken = sign

    def _read_tie(self) -> None:
        if self._chord:
            self._chord_held.append(self._chord[-1])
        elif not self._after_note:
            self._fault("a tie without a note")
        elif self._chord is None:
            self.notes[-1] = self.notes[-1]._replace(tied=True)

    def _read_slur(self, sign: str) -> None:
        """Slurs may lie within one another and reach over bar lines (ABC 2.1, 4.11)."""
        self._slurs += 1 if sign == "(" else -1
        if self._slurs < 0:
            self._fault("')' without '('")
            self._slurs = 0

    def _read_bar(self, text: str) -> None:
        """A bar line, an ending, or both, such as ":|2"."""
        numbers = text.lstrip(":|[]")
        sign = text[: len(text) - len(numbers)]
        self._close_bar(edge=text != "|", ending=bool(numbers))
        self._count_ending(numbers)
        self.marks.append(Mark(len(self.notes), "" if sign == "[" else sign, passes(numbers)))

    def _count_ending(self, numbers: str) -> None:
        """numbers: of an ending that starts here, such as "1", "1,3" or "2-4"; "" where none does."""
        if numbers and int(numbers[0]) > self._endings + 1:
            self._fault(f"ending {numbers[0]} without ending {int(numbers[0]) - 1}")
        self._endings = max([self._endings, *map(int, re.findall("[0-9]", numbers))])

    def _close_bar(self, *, edge: bool, ending: bool = False) -> None:
        """Ends the bar, if one has begun. `edge`: a section ends or begins here."""
        self._close_groups()
        if self._bar_ticks:
            number = len(self.bars) + 1
            self.bars.append(Bar(number, self._line, self._bar_ticks, self._bar_full, self._opens, edge, self._ending))
            self._bar_ticks, self._opens, self._ending = 0, edge, ending
        else:
            self._opens, self._ending = self._opens or edge, self._ending or ending
            if edge and self.bars:
                self.bars[-1] = self.bars[-1]._replace(closes=True)
        self._accidentals.clear()
        self._after_note = False

    def _close_groups(self) -> None:
        """No decoration, chord, tuplet or broken rhythm reaches over a bar line."""
        if self._decorated:
            self._fault("a decoration without a note")
            self._decorated = False
        if self._chord is not None:
            self._fault("a chord is not closed")
            self._chord = None
        if self._tuplet_left:
            self._fault("a tuplet lacks notes")
            self._tuplet_left = 0
        if self._broken:
            self._fault(f"{self._broken!r} is not between two notes")
            self._broken = ""

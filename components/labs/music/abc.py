"""ABC notation, the part of the 2.1 standard that these tunes use: reading a tune and judging whether it is one.

This is the sampler's own check: it decides what /generate may return, so it reads any text at all, in time linear
in its length, raises nothing, and loads nothing slow. https://abcnotation.com/wiki/abc:standard:v2.1

When is a bar right? Between two plain bar lines it lasts exactly as long as the metre says, and no bar is ever longer.
At the edges of a section (the ends of the tune, `:|`, `|:`, `::`, `||`, `|]`, `[|`, and where an ending starts) it may
be shorter, because a tune that starts with a pickup takes those beats from the bar before it. So a short bar needs its
other half: what ends a section, and a pickup that is played next (of the section that follows, of the section that is
repeated, or of an ending) are together one full bar. This holds in 97 % of the real tunes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import NamedTuple

TICKS = 315 * 2**18
"""Ticks in a whole note: the least that make every length below a whole number.

315 * 2**3 holds tuplets of up to nine; the rest of the powers of two are for unit lengths (64), note lengths (64)
and broken rhythm (8). Whole numbers keep the inner loop five times as fast as Fraction would.
"""

MODES = {
    "major": 0,
    "ionian": 0,
    "mixolydian": -1,
    "dorian": -2,
    "minor": -3,
    "aeolian": -3,
    "phrygian": -4,
    "locrian": -5,
    "lydian": 1,
}
"""Sharps that a mode adds to the major key on the same tonic."""

SHARPS = "FCGDAEB"
"""The order in which a key signature sharpens notes; flats come in reverse."""

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}
REQUIRED = ("X", "M", "L", "K")

_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)")
_METRE = re.compile(r"([1-9][0-9]?)/(1|2|4|8|16|32|64)")
_UNIT = re.compile(r"1/(1|2|4|8|16|32|64)")
_HEADER = re.compile(r"([A-Za-z]):(.*)")
# No letter from a to g: a line of music may well begin with "A:|".
_BODY_FIELD = re.compile(r"([H-Zh-z]):(.*)")
_TYPE = re.compile(r"id:[a-z]+-([a-z-]+)-[0-9]+")
# Every alternative stops at what could begin another match, so that no text is scanned twice.
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<note>(?P<accidental>\^{1,2}|_{1,2}|=)?(?P<letter>[A-Ga-gzx])(?P<octave>[,']{0,4})
        (?P<length>[0-9]{0,2}(?:/(?:[0-9]{1,2}|/{0,5}))?))
    | (?P<ending>\[[1-9][0-9,-]{0,8})
    | (?P<bar>::+|:*\|[|:]*\]?:*(?:[1-9][0-9,-]{0,8})?|\[\|[\]:]*)
    | (?P<field>\[[A-Za-z]:[^][\n]*\])
    | (?P<tuplet>\((?P<p>[2-9])(?::(?P<q>[1-9]?)(?::(?P<r>[1-9]?))?)?)
    | (?P<chord>\[|\](?P<chord_length>[0-9]{0,2}(?:/(?:[0-9]{1,2}|/{0,5}))?))
    | (?P<broken>>{1,3}|<{1,3})
    | (?P<tie>-)
    | (?P<text>"[^"\n]*"|![A-Za-z.()<>+0-9]+!|\{[][A-Ga-g,'^_=0-9/>< ]*\}|[().~HLMOPSTuv]|!(?=\s|\Z))
    | (?P<unknown>[^\sA-Ga-gzx|:[\](){}"!<>^_=.~-]+|.)""",
    re.VERBOSE,
)


class Note(NamedTuple):
    """A note, a chord or a rest."""

    pitches: tuple[int, ...]
    """MIDI numbers (middle C is 60); empty for a rest."""
    ticks: int
    tied: bool = False
    """Held into the next note."""

    @property
    def duration(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, TICKS)


class Bar(NamedTuple):
    number: int
    """From 1, as a reader counts: pickups count too."""
    line: int
    """Line of the text where it ends, from 1."""
    ticks: int
    full: int | None
    """Ticks the metre asks for; None where the metre is unknown."""
    opens: bool
    """It follows the edge of a section, so it may be a pickup."""
    closes: bool = False
    """It precedes the edge of a section, so it may be short."""
    ending: bool = False
    """It starts an ending: a repeat goes back to the bar that opened the section before."""

    @property
    def length(self) -> Fraction:
        """In whole notes."""
        return Fraction(self.ticks, TICKS)


@dataclass(frozen=True)
class Tune:
    headers: dict[str, str]
    """First field of each letter, up to and including K."""
    key: dict[str, int] | None
    """Accidental of each altered note name, such as {"F": 1, "C": 1}; None if the key is unknown."""
    metre: Fraction | None
    """Length of a bar in whole notes; None if unknown."""
    unit: Fraction
    """What a note without a length lasts, in whole notes."""
    notes: tuple[Note, ...]
    """In the order written: repeats are not played out."""
    bars: tuple[Bar, ...]
    faults: tuple[str, ...]
    """What could not be read, with bar numbers."""

    @property
    def type(self) -> str:
        """The kind of tune that its Z: field names (`id:dc-hornpipe-1`: hornpipe), or ''."""
        match = _TYPE.search(self.headers.get("Z", ""))
        return match[1] if match else ""

    @property
    def wrong_bars(self) -> tuple[Bar, ...]:
        """Bars that do not add up (see the top of this file)."""
        return tuple(bar for bar, _ in _judge(self.bars))


def check(text: str) -> list[str]:
    """What is wrong with a tune, in words; [] is valid ABC. Never raises."""
    tune = parse_tune(text)
    problems = [f"no {letter}: field" for letter in REQUIRED if letter not in tune.headers]
    if not any(note.pitches for note in tune.notes):
        problems.append("no notes")
    return [*problems, *tune.faults, *(problem for _, problem in _judge(tune.bars))]


def parse_tune(text: str) -> Tune:
    """Reads one tune as far as it can be read; what cannot be is in `faults`. Never raises.

    A tune ends at the first empty line; text after it is a fault.
    """
    lines = text.strip().split("\n")
    reader = _Reader()
    headers, body = _read_headers(lines, reader)
    key, metre, unit = reader.key, reader.metre, reader.unit
    for number in range(body, len(lines)):
        line = lines[number].split("%", 1)[0]
        if not lines[number].strip():
            reader.fault(f"text after the empty line {number + 1}")
            break
        reader.read_line(line, number + 1)
    reader.finish()
    return Tune(
        headers=headers,
        key=key,
        metre=None if metre is None else Fraction(metre, TICKS),
        unit=Fraction(unit, TICKS),
        notes=tuple(reader.notes),
        bars=tuple(reader.bars),
        faults=tuple(reader.faults),
    )


@cache
def _mode(name: str) -> int | None:
    """Sharps of a mode given in full or by three letters; 'm' is minor, '' is major."""
    name = {"": "major", "m": "minor"}.get(name.lower(), name.lower())
    return next((sharps for mode, sharps in MODES.items() if name in (mode, mode[:3])), None)


def key_signature(key: str) -> dict[str, int] | None:
    """Accidental of each altered note name: 'D Major' is {'F': 1, 'C': 1}; None for a key there is not.

    Spelled as in the data ("D Mixolydian") or short ("Dmix", "Em", "A"); at most seven sharps or flats.
    """
    match = _KEY.fullmatch(key.strip()[:40])
    mode = _mode(match[3]) if match else None
    if match is None or mode is None:
        return None
    sharps = SHARPS.index(match[1]) - 1 + 7 * {"": 0, "#": 1, "b": -1}[match[2]] + mode
    if abs(sharps) > 7:
        return None
    return dict.fromkeys(SHARPS[:sharps], 1) if sharps >= 0 else dict.fromkeys(SHARPS[sharps:], -1)


def metre(text: str) -> Fraction | None:
    """Length of a bar in whole notes ('C' and 'C|' are one); None for a metre there is not."""
    text = {"C": "4/4", "C|": "2/2"}.get(text.strip(), text.strip())
    match = _METRE.fullmatch(text)
    return Fraction(int(match[1]), int(match[2])) if match else None


def _read_headers(lines: list[str], reader: "_Reader") -> tuple[dict[str, str], int]:
    """The tune's fields and the number of lines they take: the tune starts after K:."""
    headers: dict[str, str] = {}
    for number, line in enumerate(lines):
        match = _HEADER.match(line.split("%", 1)[0])
        if match is None:
            if line.startswith("%"):
                continue
            reader.fault(f"line {number + 1} stands where a header should" if headers else "no headers")
            return headers, number
        letter, value = match[1], match[2].strip()
        if not headers and letter != "X":
            reader.fault("the first field is not X:")
        headers.setdefault(letter, value)
        reader.set_field(letter, value)
        if letter == "K":
            return headers, number + 1
    return headers, len(lines)


def _judge(bars: tuple[Bar, ...]) -> list[tuple[Bar, str]]:
    """The bars that do not add up, each with what is wrong with it."""
    completed: set[int] = set()
    for before, after in _joins(bars):
        if bars[before].ticks + bars[after].ticks == bars[before].full:
            completed |= {before, after}
    wrong = []
    for index, bar in enumerate(bars):
        if bar.full is None or bar.ticks == bar.full or index in completed:
            continue
        reason = "is too long" if bar.ticks > bar.full else "is too short"
        if bar.ticks < bar.full and (bar.opens or bar.closes):
            reason += " and nothing completes it"
        wrong.append((bar, f"bar {bar.number} (line {bar.line}) {reason}: {bar.length} of {Fraction(bar.full, TICKS)}"))
    return wrong


def _joins(bars: tuple[Bar, ...]) -> Iterator[tuple[int, int]]:
    """Pairs of bars that meet at an edge: the one that closes a section, the one played after it."""
    start, stem = 0, None
    for index, bar in enumerate(bars):
        if bar.opens and not bar.ending:
            start, stem = index, None
        elif bar.ending and index:
            # The second ending, too, is played after the bar before the first.
            stem = index - 1 if stem is None else stem
            yield stem, index
        if bar.closes:
            yield index, start
            if index + 1 < len(bars):
                yield index, index + 1


@dataclass
class _Reader:
    """The state between one token of music and the next."""

    key: dict[str, int] | None = None
    metre: int | None = None
    unit: int = TICKS // 8
    compound: bool = False
    notes: list[Note] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    line: int = 0

    bar_ticks: int = 0
    bar_full: int | None = None
    opens: bool = True
    ending: bool = False
    accidentals: dict[str, int] = field(default_factory=dict)
    chord: list[int] | None = None
    chord_ticks: int = 0
    tuplet: tuple[int, int] = (1, 1)
    tuplet_left: int = 0
    broken: str = ""
    """The broken rhythm that waits for its second note."""
    joinable: bool = False
    """A note came just before, so that a tie or a broken rhythm may follow."""

    def fault(self, message: str) -> None:
        self.faults.append(message)

    def here(self, message: str) -> None:
        self.fault(f"bar {len(self.bars) + 1} (line {self.line}): {message}")

    def set_field(self, letter: str, value: str) -> None:
        if letter == "K":
            self.key = key_signature(value)
            if self.key is None:
                self.fault(f"unknown key {value[:20]!r}")
        elif letter == "M":
            length = metre(value)
            self.metre = None if length is None else int(length * TICKS)
            self.compound = value in ("6/8", "9/8", "12/8")
            if length is None:
                self.fault(f"unknown metre {value[:20]!r}")
        elif letter == "L":
            match = _UNIT.fullmatch(value)
            if match is None:
                self.fault(f"unknown unit length {value[:20]!r}")
            else:
                self.unit = TICKS // int(match[1])

    def read_line(self, line: str, number: int) -> None:
        self.line = number
        match = _BODY_FIELD.match(line)
        if match:
            self.set_field(match[1], match[2].strip())
            return
        for token in _TOKEN.finditer(line):
            match token.lastgroup:
                case "note":
                    self.read_note(token)
                case "bar":
                    self.read_bar(token[0])
                case "ending":
                    self.close_bar(edge=True, ending=True)
                case "chord":
                    self.read_chord(token)
                case "tuplet":
                    self.read_tuplet(token)
                case "broken":
                    self.read_broken(token[0])
                case "tie":
                    self.read_tie()
                case "field":
                    self.set_field(token[0][1], token[0][3:-1].strip())
                case "unknown":
                    self.here(f"cannot read {token[0][:20]!r}")

    def read_note(self, token: re.Match[str]) -> None:
        letter = token["letter"]
        pitches: tuple[int, ...] = ()
        if letter in "zx":
            if token["accidental"] or token["octave"]:
                self.here(f"cannot read {token[0]!r}")
        else:
            pitches = (self.pitch(token["accidental"], letter, token["octave"]),)
        ticks = self.ticks(token["length"])
        if self.chord is None:
            self.add(pitches, ticks)
        elif not pitches:
            self.here("a rest in a chord")
        else:
            self.chord_ticks = self.chord_ticks or ticks
            self.chord.extend(pitches)

    def pitch(self, accidental: str | None, letter: str, octave: str) -> int:
        """MIDI number. An accidental holds to the end of its bar in every octave, as the standard has it."""
        name = letter.upper()
        if accidental:
            self.accidentals[name] = ACCIDENTALS[accidental]
        shift = self.accidentals.get(name, (self.key or {}).get(name, 0))
        octaves = octave.count("'") - octave.count(",") + letter.islower()
        return 60 + SEMITONES[name] + shift + 12 * octaves

    def ticks(self, length: str) -> int:
        """Ticks of a written length such as '', '2', '3/2', '/' or '//'."""
        parts = _length(length)
        if parts is None:
            self.here(f"no such length as {length!r}")
            return self.unit
        return self.unit * parts[0] // parts[1]

    def add(self, pitches: tuple[int, ...], ticks: int) -> None:
        """Puts a note, chord or rest at the end of the bar, with the tuplet and the broken rhythm it stands in."""
        if self.tuplet_left:
            ticks = ticks * self.tuplet[0] // self.tuplet[1]
            self.tuplet_left -= 1
        if self.broken:
            # A>B: the first lasts 3/2, the second 1/2; >> is 7/4 and 1/4.
            dots = 2 ** len(self.broken)
            longer, shorter = 2 * dots - 1, 1
            first, second = (longer, shorter) if self.broken[0] == ">" else (shorter, longer)
            before = self.notes[-1]
            self.notes[-1] = before._replace(ticks=before.ticks * first // dots)
            self.bar_ticks += self.notes[-1].ticks - before.ticks
            ticks = ticks * second // dots
            self.broken = ""
        if not self.bar_ticks:
            self.bar_full = self.metre
        self.notes.append(Note(pitches, ticks))
        self.bar_ticks += ticks
        self.joinable = True

    def read_chord(self, token: re.Match[str]) -> None:
        if token[0] == "[":
            if self.chord is not None:
                self.here("a chord within a chord")
            self.chord, self.chord_ticks = [], 0
        elif not self.chord:
            self.here("']' without the notes of a chord")
            self.chord = None
        else:
            pitches, self.chord = tuple(self.chord), None
            parts = _length(token["chord_length"]) or (1, 1)
            self.add(pitches, self.chord_ticks * parts[0] // parts[1])

    def read_tuplet(self, token: re.Match[str]) -> None:
        """(p:q:r): p notes in the time of q, for the next r notes."""
        if self.tuplet_left:
            self.here("a tuplet within a tuplet")
        p = int(token["p"])
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(p, 3 if self.compound else 2)
        self.tuplet = (int(token["q"] or usual), p)
        self.tuplet_left = int(token["r"] or p)

    def read_broken(self, sign: str) -> None:
        if not self.joinable or self.broken or self.chord is not None:
            self.here(f"{sign!r} is not between two notes")
        else:
            self.broken = sign

    def read_tie(self) -> None:
        if self.chord is not None:
            return
        if not self.joinable:
            self.here("a tie without a note")
        else:
            self.notes[-1] = self.notes[-1]._replace(tied=True)

    def read_bar(self, sign: str) -> None:
        self.close_bar(edge=sign != "|", ending=sign[-1].isdigit())

    def close_bar(self, *, edge: bool, ending: bool = False) -> None:
        """Ends the bar, if one has begun. `edge`: a section ends or begins here."""
        self.drop_unfinished()
        if self.bar_ticks:
            number = len(self.bars) + 1
            self.bars.append(Bar(number, self.line, self.bar_ticks, self.bar_full, self.opens, edge, self.ending))
            self.bar_ticks, self.opens, self.ending = 0, edge, ending
        else:
            self.opens, self.ending = self.opens or edge, self.ending or ending
            if edge and self.bars:
                self.bars[-1] = self.bars[-1]._replace(closes=True)
        self.accidentals.clear()
        self.joinable = False

    def drop_unfinished(self) -> None:
        if self.chord is not None:
            self.here("a chord is not closed")
            self.chord = None
        if self.tuplet_left:
            self.here("a tuplet lacks notes")
            self.tuplet_left = 0
        if self.broken:
            self.here(f"{self.broken!r} is not between two notes")
            self.broken = ""

    def finish(self) -> None:
        if self.bar_ticks:
            self.fault("the last bar is not closed")
        self.close_bar(edge=True)


@cache
def _length(text: str) -> tuple[int, int] | None:
    """(numerator, denominator) of a written length; None for one that is zero or no power of two."""
    number, slash, divisor = text.partition("/")
    numerator = int(number or 1)
    denominator = int(divisor) if divisor.isdigit() else 2 ** (len(slash) + len(divisor))
    if numerator == 0 or denominator not in (1, 2, 4, 8, 16, 32, 64):
        return None
    return numerator, denominator

"""ABC as the standard 2.1 has it, read as it sounds: https://abcnotation.com/wiki/abc:standard:v2.1

The sampler's own check (`abc_notation`) asks for the collection's dialect, because that is what the model writes. Other
people's ABC is read here. Each construct of the standard is read, passed over because it does not sound, or refused by
its name and place; docs/music.md has the table. Nothing that sounds is lost in silence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from components.datasets.music.abc_notation import Tune
from components.datasets.music.abc_parser import TOKEN, Reader
from components.datasets.music.elements import TICKS, Mark
from components.datasets.music.standard_fields import key_field, metre_field, unit_field, usual_unit, voice_field
from components.datasets.music.standard_lines import Line, tune_lines

SYMBOLS = "~HLMOPSTuv"
"""Letters that are ornaments and bowings without a U: field (4.16)."""

STRANGE_SYMBOLS = 3
"""Letters without a meaning that a tune may use as signs; a line of words would have more."""

MOST_RESTS = 16
"""Bars of rest that are written out in the collection's dialect."""

JUMPS = ("d.c", "d.s", "dacapo", "dacoda")
OCTAVES = ("8va", "8vb", "15ma", "15mb")
DYNAMICS = ("f", "ff", "fff", "ffff")
"""Decorations that look like notes."""

_SOUNDING_FIELDS = "KMLPQVUmI"
_NOTES = re.compile(r"(?=.*[A-Ga-g])[A-Ga-gxz0-9/,'^_=<>(){}[\]:~.-]+")
_TOKENS = rf"""(?P<text>"[^"\n]*")
    | (?P<word>![^!\s|]{{1,40}}!|\+[^+\s|]{{1,40}}\+)
    | (?P<grace>\{{[^{{}}\n]*\}})
    | (?P<symbol>[~H-Wh-w])
    | (?P<rest_bars>[ZX]([0-9]{{0,3}}))
    | (?P<overlay>&)
    | (?P<dots>^\s*:(?![|:\]]))
    | (?P<silent>y[0-9/]*|[.`$*;?@\#!)]|\((?![2-9]))
    | {TOKEN}"""


@dataclass
class StandardReader(Reader):
    """What has been read of a tune in standard ABC."""

    tokens: ClassVar[re.Pattern[str]] = re.compile(_TOKENS, re.VERBOSE)

    headers: dict[str, str] = field(default_factory=dict)
    """The first field of each letter, up to and including K:."""
    in_header: bool = True
    refusals: list[str] = field(default_factory=list)
    """What is ABC, but cannot be played; also in `faults`, in front."""
    kept: list[str] = field(default_factory=list)
    """The tokens that sound, of the line that is read."""

    _unit_given: bool = False
    _shift: int = 0
    _symbols: dict[str, str] = field(default_factory=dict)
    _strange: set[str] = field(default_factory=set)
    _voice: str = ""
    _voices: set[str] = field(default_factory=set)
    _last_field: str = ""

    def refuse(self, what: str) -> None:
        """Notes down a construct that is not played."""
        place = f"line {self._line}" if self.in_header else f"bar {len(self.bars) + 1} (line {self._line})"
        self.faults.insert(len(self.refusals), f"{place}: {what}")
        self.refusals.append(self.faults[len(self.refusals)])

    def read_lines(self, lines: list[Line]) -> None:
        """The lines of one tune, without comments. The header ends with K:, or where no field follows."""
        has_key = any(line.letter == "K" for line in lines)
        for line in lines:
            self._line = line.number
            if line.letter == "%":
                self._instruct(line.text)
            elif line.letter == "+":
                if self._last_field in _SOUNDING_FIELDS:
                    self.refuse(f"a {self._last_field}: field that is continued")
            elif line.letter:
                self._last_field = line.letter
                self.read_field(line.letter, line.text)
            elif not self.in_header or not has_key:
                self.in_header = False
                self.read_music(line.text)
            elif self._last_field != "H":  # a history may take several lines
                self.refuse("a line before K: that is no field")

    def read_field(self, letter: str, value: str) -> None:
        """A field of its own line or within a line. Raises nothing; what cannot be read is noted down."""
        if self.in_header:
            self.headers.setdefault(letter, value)
        match letter:
            case "K":
                self._read_key(value)
            case "M":
                self._read_metre(value)
            case "L":
                self._read_unit(value)
            case "P" if not self.in_header:
                self._close_bar(edge=True)
                self.marks.append(Mark(len(self.notes), "", part=value.strip(" .") or "?"))
            case "Q" if not self.in_header and value != self.headers.setdefault("Q", value):
                self.refuse(f"a change of tempo (Q:{value[:20]})")
            case "V":
                self._voice, shift = voice_field(value)
                self._shift = self._shift if shift is None else shift
            case "U":
                symbol, _, meaning = value.partition("=")
                self._symbols[symbol.strip()] = meaning.strip()
            case "I":
                self._instruct(value)
            case "m":
                self.refuse("a macro (m:)")

    def finish(self) -> None:
        """The end of the tune, which needs no bar line."""
        self._close_bar(edge=True)

    def _read_token(self, token: re.Match[str]) -> None:
        match token.lastgroup:
            case "word":
                self._read_word(token[0][1:-1])
            case "symbol":
                self._read_symbol(token[0])
            case "rest_bars":
                self._read_rest_bars(int(token[0][1:] or 1))
            case "overlay":
                self.refuse("a voice overlay (&), which is several voices at once")
            case "dots":  # at the start of a line: bar lines may have any shape (4.8)
                self.kept.append("|:")
                self._read_bar("|:")
            case "text" | "grace" | "silent":
                pass
            case _:
                self.kept.append(token[0])
                super()._read_token(token)

    def _read_key(self, value: str) -> None:
        found = key_field(value)
        if found is None:
            self.faults.append(f"unknown key {value[:20]!r}")
        else:
            self.key = self.key if found.altered is None else found.altered
            self._shift = self._shift if found.shift is None else found.shift
        if self.in_header:
            self.in_header = False
            if not self._unit_given:
                self.unit = usual_unit(self.metre)

    def _read_metre(self, value: str) -> None:
        length = metre_field(value)
        self.metre = length or None
        self.compound = value in ("6/8", "9/8", "12/8")
        if length is None:
            self.faults.append(f"unknown metre {value[:20]!r}")

    def _read_unit(self, value: str) -> None:
        unit = unit_field(value)
        self.unit, self._unit_given = unit or self.unit, True
        if unit is None:
            self.faults.append(f"unknown unit length {value[:20]!r}")

    def _instruct(self, text: str) -> None:
        """I: and %% (4.22, 11): most are about paper."""
        name, _, value = text.partition(" ")
        if name == "propagate-accidentals" and value.strip() != "pitch":
            self.refuse(f"accidentals that hold otherwise than to the end of the bar ({text[:40]})")
        elif name == "abc-include":
            self.refuse("another file (abc-include)")

    def _read_word(self, name: str) -> None:
        """A decoration in words, of which only a few would change what sounds."""
        lower = name.lower()
        if lower.startswith(JUMPS):
            self.refuse(f"a jump (!{name}!)")
        elif lower.startswith(OCTAVES):
            self.refuse(f"an octave sign (!{name}!)")
        elif _NOTES.fullmatch(name) and name not in DYNAMICS:
            self.refuse(f"notes between two signs of a decoration ({name[:20]!r})")

    def _read_symbol(self, letter: str) -> None:
        if letter in self._symbols:
            self._read_word(self._symbols[letter].strip('!+"'))
        elif letter not in SYMBOLS:
            self._strange.add(letter)
            if len(self._strange) > STRANGE_SYMBOLS:
                self._fault(f"cannot read {letter!r}: is this music?")

    def _read_rest_bars(self, count: int) -> None:
        if self.metre is None or not count:
            self.kept.append(f"Z{count}")
            self.refuse("a rest of whole bars (Z) without a metre")
        elif self._bar_ticks or self._chord is not None:
            self.kept.append(f"Z{count}")
            self._fault("a rest of whole bars (Z) within a bar")
        else:
            ticks = count * self.metre.numerator * TICKS // self.metre.denominator
            self._add((), ticks)
            self._bar_full = self._bar_ticks
            length = self.metre / self.unit
            rest = f"z{length.numerator}/{length.denominator}".removesuffix("/1")
            self.kept.append("|".join([rest] * min(count, MOST_RESTS)))

    def _scaled(self, ticks: int, length: str) -> int:
        """Any length that is a whole number of ticks."""
        number, slash, divisor = length.partition("/")
        numerator = int(number or 1)
        denominator = int(divisor) if divisor.isdigit() else 2 ** len(slash + divisor)
        if not numerator or not denominator or ticks * numerator % denominator:
            self._fault(f"no note lasts {length!r}")
            return ticks
        return ticks * numerator // denominator

    def _pitch(self, accidental: str | None, letter: str, octave: str) -> int:
        return super()._pitch(accidental, letter, octave) + self._shift

    def _add(self, pitches: tuple[int, ...], ticks: int) -> None:
        if self._voice not in self._voices and self._voices:
            self.refuse(f"several voices (V:{self._voice[:20]}): a tune has one here")
        self._voices.add(self._voice)
        super()._add(pitches, ticks)


def read_standard(text: str) -> Tune:
    """Reads one tune as far as it can be read; what cannot be is in `faults`, refusals first. Never raises."""
    lines, faults = tune_lines(text)
    reader = StandardReader()
    reader.read_lines(lines)
    return finished(reader, faults)


def finished(reader: StandardReader, faults: Sequence[str]) -> Tune:
    """The tune whose lines have all been read. faults: of the lines around it."""
    reader.finish()
    metre, unit = reader.metre or Fraction(0), reader.unit
    return Tune(
        reader.headers,
        reader.key,
        metre or None,
        unit,
        tuple(reader.notes),
        tuple(reader.bars),
        (*faults, *reader.faults),
        tuple(reader.marks),
    )

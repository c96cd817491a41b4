"""Whether a text is a valid tune: a validator on music21's parser that shares no code with the sampler's check.

music21 reads leniently: it skips what it doesn't know and takes an unreadable note for a C. So everything it skipped,
every note's spelling, the headers and the length of every bar are checked here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Literal, NamedTuple

Kind = Literal["header", "key", "metre", "note", "bar", "end", "unreadable"]

REQUIRED = {"X": re.compile(r"[0-9]+"), "M": None, "L": re.compile(r"1/(1|2|4|8|16|32)"), "K": None}
"""Header fields a tune can't do without, and the form of those that music21 doesn't check here."""

METRE = re.compile(r"C\|?|[1-9][0-9]?/(1|2|4|8|16|32)")
MODE = r"maj(or)?|min(or)?|m|ion(ian)?|dor(ian)?|phr(ygian)?|lyd(ian)?|mix(olydian)?|aeo(lian)?|loc(rian)?"
KEY = re.compile(rf"[A-G][#b]?( ?({MODE}))?", re.IGNORECASE)
LENGTH = r"[0-9]*(/+[0-9]*)?"
PITCH = r"[.~uvLOPST]*(\^{1,2}|_{1,2}|=)?([A-Ga-g][,']*|z)"
NOTE = re.compile(rf'("[^"\n]*")*{PITCH}{LENGTH}')
RHYTHM = re.compile(r"<{1,3}|>{1,3}")
CHORD = re.compile(rf'("[^"\n]*")*\[({PITCH}{LENGTH})+\]{LENGTH}')

BODY_FIELDS = "KLMPT"
"""Fields that may change between lines of music: key, unit length, metre, part, title."""


class Fault(NamedTuple):
    kind: Kind
    detail: str


class Note(NamedTuple):
    midi: int
    """Sounding pitch: the key's and the bar's accidentals applied. 60 is middle C."""
    length: Fraction
    """In quarter notes, tuplets and broken rhythm applied."""


@dataclass(frozen=True)
class Reading:
    """The faults and notes of a text. One with faults still has its notes if they could be read without guessing."""

    faults: tuple[Fault, ...]
    notes: tuple[Note, ...] = ()
    tonic: int | None = None
    """Pitch class of the first key, 0 (C) to 11 (B)."""

    @property
    def valid(self) -> bool:
        return not self.faults


class _Bar(NamedTuple):
    length: Fraction
    full: Fraction
    inside: bool
    """Plain bar lines on both sides: neither a pickup, nor the end of a part, nor at a repeat or ending."""


def read(text: str) -> Reading:
    """Parses and validates one tune. Never raises; the time is linear in the length of the text."""
    from music21.abcFormat import ABCHandler

    # Version 2 lets an accidental last until the end of its bar.
    handler = ABCHandler(abcVersion=(2, 1, 0))
    faults: list[Fault] = []
    try:
        source = _normal(text)
        handler.tokenize(source)
        faults += [*_lexical(handler.tokens, source), *_headers(text)]
        # Notes can be read without a number or a title, but not where music21 would have to guess.
        if all(fault.kind == "header" for fault in faults):
            handler.tokenProcess()
            faults += _bar_faults(handler.tokens)
            return Reading(tuple(faults), tuple(_notes(handler.tokens)), _tonic(handler.tokens))
    except Exception as error:  # noqa: BLE001 - whatever music21 stumbles over is not a tune
        faults.append(Fault("unreadable", f"{type(error).__name__}: {error}"))
    return Reading(tuple(faults))


def _normal(text: str) -> str:
    """The same music in the spelling that music21 keeps token for token."""
    # `!` at the end of a line is the old mark for a line break; elsewhere it would start a decoration.
    text = re.sub(r"!\s*$", "", text.strip(), flags=re.MULTILINE)
    return re.sub(r"\|([12])", r"| [\1", text.replace("::", ":| |:"))


def _lexical(tokens: list[Any], source: str) -> Iterator[Fault]:
    """What music21 dropped silently, and notes it would take for a C."""
    from music21.abcFormat import ABCBrokenRhythmMarker, ABCChord, ABCMetadata, ABCNote

    kept = re.sub(r"\s", "", "".join(token.src for token in tokens))
    given = re.sub(r"\s", "", source)
    if kept != given:
        at = next((i for i, (a, b) in enumerate(zip(kept, given, strict=False)) if a != b), len(kept))
        yield Fault("unreadable", f"not ABC: {given[at : at + 12]!r}")
    lines = {line.strip() for line in source.split("\n")}
    for token in tokens:
        form = CHORD if isinstance(token, ABCChord) else NOTE
        if isinstance(token, ABCNote) and not form.fullmatch(token.src):
            yield Fault("note", f"not a note: {token.src[:12]!r}")
        elif isinstance(token, ABCBrokenRhythmMarker) and not RHYTHM.fullmatch(token.src):
            yield Fault("note", f"not a rhythm: {token.src[:12]!r}")
        elif isinstance(token, ABCMetadata) and token.src not in lines:
            yield Fault("unreadable", f"a field within a line: {token.src[:12]!r}")
        elif token.src in ("K", "k"):
            yield Fault("unreadable", f"music21 knows {token.src} as an accent, ABC does not")
    # Titles and chord symbols may hold any sign.
    music = re.sub(r'^[A-Z]:[^|:].*$|"[^"\n]*"', "", source, flags=re.MULTILINE)
    for left, right in ("()", "{}"):
        if re.sub(r"\([0-9]", "", music).count(left) != music.count(right):
            yield Fault("unreadable", f"{left} without {right}")


def _headers(text: str) -> Iterator[Fault]:
    lines = text.strip().split("\n")
    fields = [(i, line[0], line[2:].strip()) for i, line in enumerate(lines) if re.match(r"[A-Z]:[^|:]", line)]
    first_key = next((i for i, name, _ in fields if name == "K"), len(lines))
    header = {name: value for i, name, value in fields if i <= first_key}
    for name, form in REQUIRED.items():
        if name not in header:
            yield Fault("header", f"no {name}: field")
        elif form and not form.fullmatch(header[name]):
            yield Fault("header", f"{name}:{header[name][:20]} is not understood")
    if fields and (fields[0][0], fields[0][1]) != (0, "X"):
        yield Fault("header", "X: is not the first line")
    if [i for i, _, _ in fields if i <= first_key] != list(range(first_key + 1)):
        yield Fault("header", "a line without a field before K:")
    for i, name, value in fields:
        if i > first_key and name not in BODY_FIELDS:
            yield Fault("header", f"{name}: after the music began")
        if name == "M" and not METRE.fullmatch(value):
            yield Fault("metre", f"M:{value[:20]} is not a metre")
        if name == "K" and not KEY.fullmatch(value):
            yield Fault("key", f"K:{value[:20]} is not a key")


def _notes(tokens: list[Any]) -> Iterator[Note]:
    """Melody notes: of a chord the first, which carries the tune in this dialect; no rests, no grace notes."""
    from music21.abcFormat import ABCChord, ABCNote

    for token in tokens:
        if not isinstance(token, ABCNote) or token.inGrace:
            continue
        first: Any = token.subTokens[0] if isinstance(token, ABCChord) else token
        if first.pitchName:
            yield Note(_midi(first.pitchName), _length(token))


@cache
def _midi(name: str) -> int:
    from music21.pitch import Pitch

    return int(Pitch(name).midi)


def _length(note: Any) -> Fraction:
    """In quarter notes, exact: music21 keeps floats, which are within 1e-9 of fractions with small denominators."""
    length = Fraction(note.quarterLength).limit_denominator(4096)
    if note.activeTuplet is None:
        return length
    return length * Fraction(note.activeTuplet.numberNotesNormal, note.activeTuplet.numberNotesActual)


def _tonic(tokens: list[Any]) -> int | None:
    from music21.abcFormat import ABCMetadata

    key = next((token for token in tokens if isinstance(token, ABCMetadata) and token.isKey()), None)
    if key is None:
        return None
    name = re.match("[A-G][#b]?", key.data[:1].upper() + key.data[1:])  # its mode may follow at once: Em, Ador
    return _midi(name[0].replace("b", "-") + "4") % 12 if name else None


def _bar_faults(tokens: list[Any]) -> Iterator[Fault]:
    bars = list(_bars(tokens))
    for number, bar in enumerate(bars, start=1):
        if bar.length > bar.full or (bar.inside and bar.length < bar.full):
            yield Fault("bar", f"bar {number} lasts {bar.length} quarter notes, not {bar.full}")
    if not any(bar.length == bar.full for bar in bars):
        yield Fault("bar", "no full bar")


def _bars(tokens: list[Any]) -> Iterator[_Bar]:
    """Bars that hold music. Bar lines and fields with no music between them are one boundary: `|` and then `[1`."""
    from music21.abcFormat import ABCBar, ABCMetadata, ABCNote

    full = Fraction(0)
    lengths: list[tuple[Fraction, Fraction]] = []
    boundaries = [{"start"}]  # the first is left of the first bar, and so on
    for token in tokens:
        if isinstance(token, ABCNote) and not token.inGrace:
            if len(lengths) < len(boundaries):
                lengths.append((Fraction(0), full))
            lengths[-1] = (lengths[-1][0] + _length(token), full)
        elif isinstance(token, ABCBar | ABCMetadata):
            if len(lengths) == len(boundaries):
                boundaries.append(set())
            boundaries[-1].add(token.src)
            if isinstance(token, ABCMetadata) and token.isMeter():
                signature: Any = token.getTimeSignatureParameters()
                full = Fraction(4 * signature[0], signature[1])
    if len(lengths) == len(boundaries):
        boundaries.append(set())
    boundaries[-1].add("end")
    for (length, asked), left, right in zip(lengths, boundaries, boundaries[1:], strict=False):
        yield _Bar(length, asked, inside=left == right == {"|"})

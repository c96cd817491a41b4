"""From written notes to ABC in the dialect of the lab's collection: L:1/8, plain bar lines, triplets as (3, A>B."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from components.datasets.music.music_theory import SHARPS, bar_length, key_signature
from serving.music.quantisation import EIGHTH, SIXTEENTH, WrittenNote

UNIT = "1/8"
"""L: of every tune of the collection. A start without a header is read in it."""
PER_LINE = 4
"""Bars."""
LETTERS = "CDEFGAB"
NATURAL = (0, 2, 4, 5, 7, 9, 11)
"""Semitones of LETTERS above C."""
SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
SHARPEST = 6
"""How many fifths above the tonic a note is still written: its raised fourth. Twelve fifths hold each pitch once."""


MOST_IN_TUPLET = 9


class _Piece(NamedTuple):
    """A note or a part of one, or a rest, within a bar."""

    pitch: int | None
    length: Fraction
    """In eighths."""
    tied: bool


def spelled(pitch: int, key: str) -> tuple[str, int, int]:
    """Letter, accidental and octave (5 for the one above middle C's, MIDI's 72 to 83) of a pitch in a key.

    Of the names that a pitch has, the one is taken that lies from five fifths below the tonic (the flat second) to six
    above it (the raised fourth).
    """
    tonic = _fifths(key[0], {"#": 1, "b": -1}.get(key[1:2], 0))
    pitch_fifths = (pitch * 7) % 12  # C is 0, G 1, D 2
    fifths = tonic + SHARPEST - (tonic + SHARPEST - pitch_fifths) % 12
    letter = SHARPS[(fifths + 1) % 7]
    accidental = (fifths + 1) // 7
    octave = (pitch - accidental - NATURAL[LETTERS.index(letter)]) // 12 - 1
    return letter, accidental, octave


def written(notes: Sequence[WrittenNote], key: str, metre: str, pickup: Fraction) -> str:
    """The music of a tune, up to where the last note ends: without a bar line there, if it ends within a bar.

    pickup: quarter notes from the first note to the first bar line, if that is no whole bar; else 0.
    """
    length = bar_quarters(metre)
    begins, pickup = _on_sixteenths(notes[0].start, pickup)
    bars = list(_bars(notes, length, begins, pickup))
    last = notes[-1].end - begins - pickup
    complete = last >= 0 and last % length == 0
    text = ""
    for number, bar in enumerate(bars):
        ends = number + 1 < len(bars) or complete
        position = (length - pickup) / EIGHTH if pickup and not number else Fraction(0)
        text += _BarWriter(key, _beat(metre), position).write(bar) + ("|" if ends else "")
        whole = number if pickup else number + 1
        if ends and whole and whole % PER_LINE == 0 and number + 1 < len(bars):
            text += "!\n"  # how the collection ends its lines
    return text


def bar_quarters(metre: str) -> Fraction:
    """Length of a bar in quarter notes. Raises ValueError for a metre there is not."""
    length = bar_length(metre)
    if length is None:
        raise ValueError(f"no metre: {metre}")
    return 4 * length


def _on_sixteenths(start: Fraction, pickup: Fraction) -> tuple[Fraction, Fraction]:
    """Where the music begins, and its pickup: before the first note if that begins within a triplet."""
    wider = SIXTEENTH * math.ceil(pickup / SIXTEENTH)
    return start - (wider - pickup), wider


def _beat(metre: str) -> Fraction:
    """What is written without a space, in eighths: three in compound metres, four in 4/4 and 2/2, else two."""
    if is_compound(metre):
        return Fraction(3)
    return Fraction(4) if bar_quarters(metre) == 4 else Fraction(2)


def is_compound(metre: str) -> bool:
    """Whether a beat has three eighths."""
    return metre in ("6/8", "9/8", "12/8")


def _bars(notes: Sequence[WrittenNote], length: Fraction, begins: Fraction, pickup: Fraction) -> Iterator[list[_Piece]]:
    """Notes and rests by bar; what reaches over a bar line is cut there and tied."""
    bar: list[_Piece] = []
    left = pickup or length
    for pitch, duration in _events(notes, begins):
        while duration > 0:
            part = min(duration, left)
            duration, left = duration - part, left - part
            bar.append(_Piece(pitch, part / EIGHTH, tied=pitch is not None and duration > 0))
            if not left:
                yield bar
                bar, left = [], length
    if bar:
        yield bar


def _events(notes: Sequence[WrittenNote], begins: Fraction) -> Iterator[tuple[int | None, Fraction]]:
    now = begins
    for note in notes:
        if note.start > now:
            yield None, note.start - now
        yield note.pitch, note.end - note.start
        now = note.end


class _BarWriter:
    """The text of one bar."""

    def __init__(self, key: str, beat: Fraction, position: Fraction) -> None:
        """beat: what is written without a space. position: of the bar's first note. Both in eighths."""
        self._key = key
        self._signature = key_signature(key) or {}
        self._beat = beat
        self._position = position
        self._altered: dict[str, dict[int, int]] = {}
        """Accidentals of the bar so far, by letter and octave."""

    def write(self, bar: Sequence[_Piece]) -> str:
        text = ""
        for group in _groups(bar):
            if text and self._position % self._beat == 0:
                text += " "
            text += self._group(group)
            self._position += sum(piece.length for piece in group)
        return text

    def _group(self, group: Sequence[_Piece]) -> str:
        if _is_triple(group[0]):
            prefix = "(3" if len(group) == 3 else f"(3:2:{len(group)}"
            return prefix + "".join(self._note(piece, piece.length * Fraction(3, 2)) for piece in group)
        if len(group) == 2:  # a dotted note and a short one
            first, second = (self._note(piece, Fraction(1)) for piece in group)
            return f"{first}{'>' if group[0].length > group[1].length else '<'}{second}"
        return self._note(group[0], group[0].length)

    def _note(self, piece: _Piece, length: Fraction) -> str:
        return f"{self._name(piece.pitch)}{_length(length)}{'-' if piece.tied else ''}"

    def _name(self, pitch: int | None) -> str:
        if pitch is None:
            return "z"
        letter, accidental, octave = spelled(pitch, self._key)
        altered = self._altered.get(letter, {})
        # Programs differ in whether an accidental holds in other octaves: it is written again where one might differ.
        expected = {altered.get(octave, self._signature.get(letter, 0)), *altered.values()}
        sign = "" if expected == {accidental} else SIGNS[accidental]
        if sign:
            self._altered.setdefault(letter, {})[octave] = accidental
        name = letter + "," * (4 - octave) if octave < 5 else letter.lower() + "'" * (octave - 5)
        return sign + name


def _groups(bar: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    """Triplets, pairs of a dotted note and a short one, and single notes."""
    index = 0
    while index < len(bar):
        count = 1
        if _is_triple(bar[index]):
            while count < MOST_IN_TUPLET and _is_triple(*bar[index : index + count]) and index + count < len(bar):
                count += 1
        elif _is_dotted_pair(bar[index : index + 2]):
            count = 2
        yield bar[index : index + count]
        index += count


def _is_triple(*pieces: _Piece) -> bool:
    """Whether they last together what only a triplet can."""
    return sum((piece.length for piece in pieces), Fraction(0)).denominator % 3 == 0


def _is_dotted_pair(pieces: Sequence[_Piece]) -> bool:
    return (
        len(pieces) == 2
        and {piece.length for piece in pieces} == {Fraction(3, 2), Fraction(1, 2)}
        and all(piece.pitch is not None and not piece.tied for piece in pieces)
    )


def _length(length: Fraction) -> str:
    """As it stands after a note."""
    if length == Fraction(1, 2):
        return "/"  # the collection's way
    number = "" if length.numerator == 1 else str(length.numerator)
    return number if length.denominator == 1 else f"{number}/{length.denominator}"


def _fifths(letter: str, accidental: int) -> int:
    """Place on the line of fifths: F -1, C 0, G 1."""
    return SHARPS.index(letter) - 1 + 7 * accidental

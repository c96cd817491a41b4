"""A tune in standard ABC, rewritten in the dialect of the lab's collection, or dropped by a named rule.

The collection writes L:1/8, plain bar lines, `:|` without `|:` before it, `|]` at the end of a section, a space between
beats, four bars a line with `!` at its end, and no slurs, grace notes, ornaments or chords. What does not sound is left
out, of a chord the highest note stays, and a tie between two pitches, which is a slur, goes. A tune is kept only if its
notes in the order in which they are played are those of the original, so that no rewriting can change the music.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from components.datasets.music.abc_notation import Tune, parse_tune
from components.datasets.music.abc_parser import Reader
from components.datasets.music.abc_standard import StandardReader, finished
from components.datasets.music.dialect_layout import BEATS, Bar, Event, layout
from components.datasets.music.elements import TICKS, Note
from components.datasets.music.music_theory import POWERS
from components.datasets.music.repeats import played_bars
from components.datasets.music.standard_fields import plain_key
from components.datasets.music.standard_lines import tune_lines
from components.errors import UserError

DROPPED = {
    "unreadable": "not ABC throughout, or a construct that cannot be played, such as a second voice",
    "key": "a key that is none, or that has no name in the dialect",
    "metre": "a metre that no tune of the lab's own collection has",
    "change": "a key, metre or unit length that changes within the tune",
    "order": "parts that are played in another order than they are written in (P:)",
    "construct": "a tuplet other than a triplet, a rest of whole bars, or an ending for other than one pass",
    "length": "a note whose length the dialect cannot write",
    "no_bars": "bars that do not add up, by the sampler's own check",
    "changed": "notes that would not be played as in the original",
    "short": "fewer than eight full bars",
    "long": "more characters than a tune may have (the longest of the lab's own collection has 603)",
}
"""Why a tune of another collection may be dropped, in the order in which the rules are asked."""

METRES = {"4/4": "C", "2/2": "C|"}
"""The dialect's name of a metre, where it is another."""
KNOWN_METRES = ("C", "C|", "2/4", "3/4", "6/8", "9/8")
FEWEST_BARS = 8
LONGEST = 700
EIGHTH = TICKS // 8


class DroppedTune(Exception):  # noqa: N818  a verdict, not an error
    """A tune is not taken; its text is the rule, one of DROPPED."""


@dataclass(frozen=True)
class Converted:
    """A tune in the dialect."""

    metre: str
    key: str
    music: str
    """What follows the line K:."""
    doubled: bool
    """Written in notes twice as long: the dialect has its reels in C, and this one was in 2/4."""


def convert(text: str) -> Converted:
    """The tune in the dialect. Raises DroppedTune."""
    tune, tokens = _read(text)
    key, metre = plain_key(tune.headers.get("K", "")), tune.headers.get("M", "").strip()
    metre = METRES.get(metre, metre)
    if tune.faults:
        raise DroppedTune("unreadable")
    if key is None:
        raise DroppedTune("key")
    if metre not in KNOWN_METRES:
        raise DroppedTune("metre")
    if any(mark.part for mark in tune.marks) and re.fullmatch("[A-Z0-9(). ]+", tune.headers.get("P", "")):
        raise DroppedTune("order")
    doubled = metre == "2/4" and _in_sixteenths(tune.notes)
    bars = _Builder(tune.notes, tune.unit * 8 * (2 if doubled else 1)).build(tokens)
    metre = "C" if doubled else metre
    music = layout(bars, BEATS.get(metre, 2) * EIGHTH // (2 if doubled else 1), tune.metre or Fraction(0))
    _verify(tune, f"X:1\nM:{metre}\nL:1/8\nK:{key}\n{music}", doubled)
    return Converted(metre, key, music, doubled)


def _read(text: str) -> tuple[Tune, list[str]]:
    """The tune, and the tokens of it that sound."""
    lines, faults = tune_lines(text)
    body = next((number for number, line in enumerate(lines) if line.letter == "K"), len(lines)) + 1
    if any(line.letter in "KML" for line in lines[body:] if line.letter):
        raise DroppedTune("change")
    reader = StandardReader()
    reader.read_lines(lines)
    return finished(reader, faults), reader.kept


def _in_sixteenths(notes: Sequence[Note]) -> bool:
    """Whether most notes are sixteenths or shorter, as in reels that a collection prints in 2/4."""
    return sum(note.ticks < EIGHTH for note in notes) * 2 > len(notes)


class _Builder:
    """From the tokens that sound to bars. The reader says how long each note is and how high."""

    def __init__(self, notes: Sequence[Note], scale: Fraction) -> None:
        """scale: eighths of what is written that a note without a length lasts."""
        self.notes, self.scale = notes, scale
        self.bars = [Bar()]
        self.chord: list[str] | None = None
        self.chord_length = ""
        self.triplet = False
        self.place = 0

    def build(self, tokens: Sequence[str]) -> list[Bar]:
        for text in tokens:
            token = Reader.tokens.match(text)
            if token is None or token[0] != text:
                raise DroppedTune("construct")
            self._take(token)
        last = self.bars[-1]
        if not last.events:
            self.bars.pop()
        if self.bars and self.bars[-1].sign == "|":
            self.bars[-1].sign = "|]"
        return self.bars

    def _take(self, token: re.Match[str]) -> None:
        match token.lastgroup:
            case "note":
                self._take_note((token["accidental"] or "") + token["letter"] + token["octave"], token["length"])
            case "chord" if token[0] == "[":
                self.chord, self.chord_length = [], ""
            case "chord":
                self._end_chord(token["chord_length"])
            case "tuplet":
                if token["p"] != "3" or token["q"] not in (None, "", "2") or token["r"] not in (None, "", "3"):
                    raise DroppedTune("construct")
                self.triplet = True
            case "broken" if self.bars[-1].events:
                self.bars[-1].events[-1].glue = token[0]
            case "tie" if self.chord is None:
                self._tie()
            case "bar" | "ending":
                self._end_bar(token[0])
            case "field" | "broken":
                raise DroppedTune("change" if token.lastgroup == "field" else "construct")
            case _:
                pass  # a space, a slur, an ornament

    def _take_note(self, name: str, length: str) -> None:
        if self.chord is None:
            self._add(name, length)
        else:
            self.chord.append(name)
            self.chord_length = self.chord_length or length or "1"

    def _add(self, name: str, length: str, times: str = "") -> None:
        if self.place >= len(self.notes):
            raise DroppedTune("construct")
        written = name.replace("x", "z") + _written(_parts(length) * _parts(times) * self.scale)
        self.bars[-1].events.append(Event(written, self.notes[self.place], triplet=self.triplet))
        self.place, self.triplet = self.place + 1, False

    def _end_chord(self, times: str) -> None:
        """The highest note stays."""
        pitches, names = self.notes[self.place].pitches, self.chord or []
        self.chord = None
        if len(pitches) != len(names) or not names:
            raise DroppedTune("construct")
        self._add(names[pitches.index(max(pitches))], self.chord_length, times)

    def _tie(self) -> None:
        """Kept between two notes of one pitch only; others are slurs."""
        events = self.bars[-1].events
        following = self.notes[self.place] if self.place < len(self.notes) else None
        if events and following and _top(events[-1].note) == _top(following) is not None:
            events[-1].glue += "-"

    def _end_bar(self, text: str) -> None:
        numbers = text.lstrip(":|[]")
        sign = _sign(text[: len(text) - len(numbers)])
        bar = self.bars[-1]
        if bar.events:
            bar.sign = sign or "|"
            self.bars.append(Bar())
        elif len(self.bars) > 1 and sign not in ("", "|"):
            before = self.bars[-2]
            before.sign = ":|" if ":|" in (before.sign, sign) else "|]"
        if numbers not in ("", "1", "2", "3", "4"):
            raise DroppedTune("construct")
        self.bars[-1].ending = numbers or self.bars[-1].ending


def _sign(sign: str) -> str:
    """The dialect's bar line; "" for the sign that only begins an ending."""
    if sign in ("", "["):
        return ""
    if sign.startswith(":"):
        return ":|"
    if sign.endswith(":"):
        return "|]"
    return "|" if sign in ("|", "|[") else "|]"


def _verify(tune: Tune, converted: str, doubled: bool) -> None:
    """Raises DroppedTune where the text is not valid, does not sound as the original, or has no usual length."""
    again = parse_tune(converted)
    if again.problems:
        raise DroppedTune("no_bars")
    if played(again) != played(tune, 2 if doubled else 1):
        raise DroppedTune("changed")
    if sum(bar.ticks == bar.full for bar in again.bars) < FEWEST_BARS:
        raise DroppedTune("short")
    if len(converted) > LONGEST:
        raise DroppedTune("long")


def played(tune: Tune, times: int = 1) -> list[tuple[int | None, int]]:
    """Highest pitch (None for a rest) and ticks of each note in the order in which they are played.

    times: how much longer they are written. Raises DroppedTune where there is no order.
    """
    try:
        bars = played_bars(len(tune.notes), tune.marks, "")
    except UserError:
        raise DroppedTune("order") from None
    notes = [tune.notes[place] for bar in bars for place in bar]
    return [(_top(note), note.ticks * times) for note in notes]


def _top(note: Note) -> int | None:
    return max(note.pitches, default=None)


def _parts(length: str) -> Fraction:
    number, slash, divisor = length.partition("/")
    return Fraction(int(number or 1), int(divisor) if divisor.isdigit() else 2 ** len(slash + divisor))


def _written(length: Fraction) -> str:
    """As the collection writes it after a note."""
    if length == Fraction(1, 2):
        return "/"
    if length.denominator not in POWERS or length.numerator > 99:
        raise DroppedTune("length")
    number = "" if length.numerator == 1 else str(length.numerator)
    return number if length.denominator == 1 else f"{number}/{length.denominator}"

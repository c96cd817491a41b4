"""Judges a tune bar by bar while it is written, so that the sampler can draw a bar again instead of the whole tune.

A line of the header is judged when it is complete, a bar at the first character after its bar line. A bar is good if it
can be read and no bar of the tune is beyond repair by the rule of `abc_notation`: too long, or short where nothing that
can still follow completes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from components.datasets.music.abc_notation import REQUIRED, Bar, unfitting
from components.datasets.music.abc_parser import Reader
from components.datasets.music.form_reader import Form
from components.labs.music.runtime.copies import copied, shallow_copy
from components.labs.music.runtime.form_judge import Place, place
from components.labs.music.runtime.plain_bars import LengthReader, plain_ticks, ticks
from components.labs.music.runtime.repair import beyond_repair, sounds, unfillable, written

HEADER = "XTZMLK"
"""The fields of a tune of the collection, in their order."""

UNIT = "1/8"
"""The unit length (L:) of all its tunes. After another one, which the model seldom writes, no bar adds up."""

LONGEST = 200
"""Characters of a bar or a line of the header; the longest of a real tune has 85."""

_IN_FIELD = re.compile(r"[^\n]*")
_IN_BAR = re.compile(r"[^|:\n]*")
"""Characters that cannot end a line of the header, or be part of a bar line."""
_FIELD = re.compile(r"([A-Za-z]):(.*)\n")
_TYPE = re.compile(r" *id:[a-z]+-[a-z-]+-[^-]*")
"""After the last hyphen stands a number; nothing depends on it."""
_AFTER_BAR = frozenset(" \t\n!|:[]0123456789,-")
"""What may follow a bar line and belong to it: its dots, the number of an ending, the end of the line.

`[` and `!` may also begin the next bar, which the character after them shows.
"""


class Verdict(Enum):
    OPEN = 0
    """Nothing is complete."""
    FIELD = 1
    """A line of the header is complete with this character, and right."""
    BAR = 2
    """The bar before this character is complete and right."""
    BAD = 3
    """What is complete is wrong."""


@dataclass
class BarJudge:
    """What was judged of a tune, and the characters since."""

    all_fields: bool = False
    """The header must be as the collection's, line by line, because text is forced at lines of given numbers."""
    form: Form | None = None
    """What the bars must follow; None where they may have any form, also because the forced text has another."""
    pending: str = ""
    """What follows the last good bar."""
    fault: str = ""
    """Why the last verdict was BAD."""
    _reader: Reader = field(default_factory=LengthReader)
    """What holds at the last good bar line, but for `_bars`. It is never changed, so copies of the judge share it."""
    _bars: tuple[Bar, ...] = ()
    _fields: str = ""
    """Letters of the header so far."""
    _in_header: bool = True
    _tonic: str = ""
    _barred: bool = False
    """A bar line is among the pending characters."""
    _begins_line: bool = True
    """The pending characters do."""
    _sounds: bool = False
    """There are notes, and not only rests."""
    full_bars: int = 0
    """Bars so far that last exactly as long as the metre says."""
    place: Place = field(default_factory=Place)
    """Where the last good bar stands in the form, if there is one."""
    _unjudged: BarJudge | None = None
    """As it was before it judged the last bar, at the end of its bar line."""

    def __post_init__(self) -> None:
        if self.form:
            self.place = place(self.form, (), ending=False)

    def copy(self) -> BarJudge:
        """A judge that goes on from here by itself."""
        return shallow_copy(self)

    def before_last_bar_line(self) -> BarJudge:
        """A judge that has read as much, for which the last bar line may go on: `|` may still become `||` or `|:`.

        It is to be copied before anything is pushed.
        """
        return self._unjudged or self.copy()

    def after_bars(self, text: str) -> BarJudge | None:
        """A judge that has read this text, which ends with a bar line that goes no further; None where it is wrong."""
        judge = self.copy()
        if any(judge.push(character) is Verdict.BAD for character in f"{text}A"):
            return None
        judge.pending = ""
        return judge

    def begins_bar_line(self, character: str) -> bool:
        return character in "|:" and not (self._barred or self._in_header)

    def may_have(self, form: Form) -> bool:
        """Whether a tune that goes on from here may have this form."""
        return not (self._bars and place(form, self._bars, self._reader.ending).fault)

    @property
    def in_music(self) -> bool:
        """Whether the header is complete."""
        return not self._in_header

    def push(self, character: str, *, forced: bool = False) -> Verdict:
        """The tune's next character. After BAD the judge is of no more use: go on from an earlier copy.

        forced: it is no character of the model's, so that a header may have other fields and in another order.
        """
        if self._in_header:
            self.pending += character
            if character == "\n":
                return self._judge_field(forced)
            return self._bad("a line is too long") if not forced and len(self.pending) > LONGEST else Verdict.OPEN
        verdict = Verdict.OPEN
        if self._barred and character not in _AFTER_BAR:
            self._unjudged = None
            before = self.copy()
            verdict = self._judge_bar(forced)
            self._unjudged = before if verdict is Verdict.BAR else None
        self.pending += character
        self._barred = self._barred or character == "|" or self.pending.endswith("::")
        if not forced and len(self.pending) > LONGEST:
            return self._bad("no bar line")
        return verdict

    def push_line(self, text: str, start: int, end: int) -> tuple[int, Verdict]:
        """The tune's next characters text[start:end], up to the first with a verdict or to the end of the line.

        Returns where they stop, and the verdict of the character there, which is pushed; a line's end is not.
        """
        while start < end and text[start] != "\n":
            if self.form and self.begins_bar_line(text[start]):
                break
            if not self._barred and len(self.pending) < LONGEST:
                most = min(end, start + LONGEST - len(self.pending))
                match = (_IN_FIELD if self._in_header else _IN_BAR).match(text, start, most)
                if match and match.end() > start:
                    self.pending += match[0]
                    start = match.end()
                    continue
            verdict = self.push(text[start])
            if verdict is not Verdict.OPEN:
                return start, verdict
            start += 1
        return start, Verdict.OPEN

    def push_forced(self, text: str) -> Verdict:
        """Text that is no text of the model's: BAD where no bar that could follow makes the tune valid."""
        # The bars are looked at once, so that a long text takes a time that grows with its length only.
        if any(self.push(character, forced=True) is Verdict.BAD for character in text):
            return Verdict.BAD
        reason = beyond_repair(self._reader, self._bars, 0)
        return self._bad(reason) if reason else Verdict.OPEN

    def ends_well(self) -> bool:
        """Whether the tune is valid if it ends here."""
        if self._in_header:
            return False
        reader = self._read(self.pending)
        reader.finish()
        sounding = self._sounds or sounds(reader)
        follows = not self.form or place(self.form, reader.bars, reader.ending, reader.marks).complete
        return sounding and follows and not reader.faults and not any(unfitting(reader.bars))

    def closing(self) -> str | None:
        """Text that ends the tune well after its last good bar: "" where it may end there, None where there is none.

        The tonic fills a bar, or what a short bar has left of it.
        """
        if not self._bars or self.pending:
            return None
        any_form = self.copy()
        any_form.form = None
        if any_form.ends_well():
            return ""
        return next((text for text in self._last_bars() if any_form._accepts(text)), None)

    def _last_bars(self) -> Iterator[str]:
        full = self._reader.metre
        if full is None:
            return
        short = {full - bar.length for bar in reversed(self._bars) if 0 < bar.length < full}
        slurs = ")" * self._reader.open_slurs
        for length in (full, *sorted(short, reverse=True)):
            yield f"{self._tonic}{written(length / self._reader.unit)}{slurs}|]!"

    def _accepts(self, text: str) -> bool:
        judge = self.copy()
        return all(judge.push(character) is not Verdict.BAD for character in text) and judge.ends_well()

    def _judge_field(self, forced: bool) -> Verdict:
        match = _FIELD.fullmatch(self.pending)
        if match is None:
            return self._bad("a line before K: that is no field")
        letter, value = match[1], match[2]
        reader = copied(self._reader, ())
        reader.read_field(letter, value.strip())
        if reader.faults:
            return self._bad(reader.faults[0])
        if not (forced or self._belongs(letter, value)):
            return self._bad(f"{letter}: does not belong here")
        self._reader, self.pending = reader, ""
        self._fields += letter
        if letter == "K":
            self._in_header, self._tonic = False, value.strip()[:1]
        return Verdict.FIELD

    def _belongs(self, letter: str, value: str) -> bool:
        """Whether the collection's header goes on with this field."""
        if letter == "X" and not (value.strip().isascii() and value.strip().isdigit()):
            return False
        if letter == "Z" and not _TYPE.fullmatch(value):
            return False
        if letter == "L" and value.strip() != UNIT:
            return False
        if self.all_fields:
            return self._fields + letter == HEADER[: len(self._fields) + 1]
        before, found, _ = HEADER.partition(letter)
        missing = any(each in REQUIRED and each not in self._fields for each in before)
        return bool(found) and letter not in self._fields and not missing

    def _judge_bar(self, forced: bool) -> Verdict:
        held = self.pending[-1] if self.pending[-1] in "[!" else ""
        text = self.pending.removesuffix(held)
        if self._is_plain_and_full(text):
            self._begins_line, self.pending, self._barred = text.endswith("\n"), held, False
            return Verdict.OPEN if held else Verdict.BAR
        reader = self._read(text)
        if reader.faults:
            return self._bad(reader.faults[0])
        if not forced and reader.open_slurs > self._reader.open_slurs:
            return self._bad("a slur reaches over the bar line")
        if not forced and (reason := beyond_repair(reader, reader.bars, len(self._bars))):
            return self._bad(reason)
        if not forced and any(map(unfillable, reader.bars[len(self._bars) :])):
            return self._bad("a short bar that no note completes")
        if self.form:
            self.place = place(self.form, reader.bars, reader.ending, reader.marks)
            if self.place.fault and not forced:
                return self._bad(self.place.fault)
            self.form = None if self.place.fault else self.form
        self._sounds = self._sounds or sounds(reader)
        reader.notes.clear()
        self._reader, self._bars = reader, tuple(reader.bars)
        self.full_bars = sum(bar.ticks == bar.full for bar in self._bars)
        self._begins_line, self.pending, self._barred = text.endswith("\n"), held, False
        # A bar that starts with one of these is not drawn again from its start, wherever a call of the model ends.
        return Verdict.OPEN if held else Verdict.BAR

    def _is_plain_and_full(self, text: str) -> bool:
        """Whether one more full bar is all that is new; it is counted then. The reader says the same in more time."""
        state = self._reader
        if state.metre is None or state.opens or state.ending or not self._sounds:
            return False
        if self.form and not self.place.left:  # the part ends with this bar
            return False
        full = ticks(state.metre)
        if plain_ticks(text, ticks(state.unit), state.compound) != full:
            return False
        self._bars = (*self._bars, Bar(len(self._bars) + 1, 0, full, full, opens=False))
        self.full_bars += 1
        self.place = self.place._replace(left=self.place.left - 1, next=self.place.next + 1)
        return True

    def _read(self, text: str) -> Reader:
        """A reader that has read this, too."""
        reader = copied(self._reader, self._bars)
        first, *others = text.split("\n")
        if self._begins_line:
            others.insert(0, first)
        else:
            reader.read_music(first)
        for line in others:
            reader.read_line(line, 0)
        if "%" in text or any(not line.strip() for line in text.split("\n")[1:-1]):
            reader.faults.append("a comment or an empty line")
        return reader

    def _bad(self, fault: str) -> Verdict:
        self.fault = fault
        return Verdict.BAD

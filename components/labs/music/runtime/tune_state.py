"""The places that a tune which is being written goes back to, and the text that its form says.

A bar that the form says again is written as it stands earlier in the tune, and a bar line that the form does not have
is replaced, because a tune would seldom be drawn exactly as a form says.
"""

from __future__ import annotations

import numpy as np

from components.datasets.music.reader import TUNE_START
from components.labs.music.runtime.bars import BarJudge, Verdict
from components.labs.music.runtime.checkpoint import BarLine, Checkpoint, Layers, RandomNumbers, nothing_read
from components.labs.music.runtime.form_text import LineCodes, mended, said_again
from components.labs.music.runtime.history import LayerState
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.repair import as_ended
from components.labs.music.runtime.request import TuneRequest

STUBBORN = 4
"""From the so manieth time on that the same bar is drawn again, it is drawn at temperature 1 and without limits: what
always takes the likeliest character would write the same bar for ever."""

FURTHER_BACK = 8
"""After so many times that the same bar was drawn again, what stands before it is drawn again too."""

OPENING = 4
"""Full bars from which on a tune is not begun anew."""

BAR_END = " \n!|:[]123456789,-"
"""Characters at the end of a good bar that closing the tune may replace."""


class TuneState:
    """What is written of a tune, and how it is changed other than by characters that the model chooses."""

    def __init__(self, request: TuneRequest, model: TuneModel) -> None:
        self.request = request
        self.ended = False
        """The model has ended the tune itself, or forced text has."""
        self.checkpoint: Checkpoint | None = None
        """Where the tune goes back to; None where no bar is drawn again."""
        self.previous: Checkpoint | None = None
        """A good bar before that: where the last bar is drawn again from; None where there is no such place."""
        self.opening: Checkpoint | None = None
        """Where the model's music begins; None before it, and once it has OPENING bars."""
        self._vocabulary = model.vocabulary
        self._newline = int(self._vocabulary.encode(TUNE_START)[0])
        self.last = self._newline
        """The newest character that the model has chosen or knows of, and has not read."""
        self._random = RandomNumbers(request.seed)
        self._sampled = 0
        """Characters of the text that the model chose."""
        self._drawn = 0
        """Random numbers used: a number for each character that was looked at, those that were drawn again included."""
        self._line = 0
        self._codes = LineCodes(request.form)
        self._text = ""
        self._judge = BarJudge(any(request.forced), request.form) if request.redraws else None
        self._redrawn = 0
        self._tries = 0
        """How often the bar that is being written was drawn again."""
        self._endings = 0
        """How often the tune could not end where the model wanted to."""
        self._closed = self._given_up = False
        self._bar_line: BarLine | None = None
        """Where the newest bar line begins."""
        self.unread = np.empty(0, np.int64)
        """Ids (T,) that the model must read before it goes on."""
        self.resumed: LayerState | None = None
        """Where the model goes on when `take` has returned False; None before it has read anything."""

    def _keep_place(self, layers: Layers = nothing_read, begun: str = "") -> bool:
        """The tune may be written on from here. layers: before the model reads `last`. begun: what the judge has seen
        of the next bar already.

        Returns whether it must be, because a stubborn bar is over and the next ones are drawn as the request says.
        """
        before = self.checkpoint
        if self._judge is None or (begun and before and before.text == self._text):
            return False
        judge = self._judge.copy()
        judge.pending = judge.pending.removesuffix(begun)
        at_bar_line = judge.before_last_bar_line() if begun else judge
        place = Checkpoint(self._text, self._line, self._sampled, judge, at_bar_line, self.last, self.unread, layers())
        self.previous = before if begun and before and before.judge.full_bars else None
        if judge.full_bars >= OPENING:
            self.opening = None
        elif judge.in_music and self.opening is None:
            self.opening = place
        self.checkpoint = place
        stubborn, self._tries = self._tries >= STUBBORN, 0
        if stubborn:
            self._restore(self.checkpoint)
        return stubborn

    def _restore(self, place: Checkpoint) -> None:
        self._text, self._line, self._sampled = place.text, place.line, place.sampled
        self._judge, self.last, self.unread = place.at_bar_line.copy(), place.last, place.unread
        self._bar_line = None
        if 2 * self._redrawn > self.request.redraws:  # better a tune of another form than one that is cut off
            self._judge.form = None
        elif place.judge.form and (text := said_again(place.judge.form, place.text, place.judge.place.next)):
            unread = place.unread
            if self._write(text, place.judge.copy()):
                self.unread = np.concatenate([unread, self.unread])
        self.resumed = place.layers

    def _say_again(self) -> bool:
        """Writes the bars after the checkpoint that the form says again. Returns whether there are any."""
        place = self.checkpoint
        if place is None or place.text != self._text or not place.judge.form:
            return False
        text = said_again(place.judge.form, self._text, place.judge.place.next)
        return bool(text) and self._write(text, place.judge.copy())

    def _write(self, text: str, judge: BarJudge) -> bool:
        """Writes text that the form says after what the judge has read. Returns whether the judge takes it."""
        if any(judge.push(character) is Verdict.BAD for character in text):
            return False
        given = ""
        for line in text.splitlines(keepends=True):
            self._line += line.endswith("\n")
            given += line + (self._codes.before(self._line) if line.endswith("\n") else "")
        self._judge, self._text, self.unread = judge, self._text + text, self._vocabulary.encode(given)
        self._bar_line = None
        self.ended = text.endswith("\n") and judge.ends_well()
        return True

    def _mend(self) -> bool:
        """Puts the bar line that the form says in place of another one. Returns whether the bar is right then."""
        place, begun = self.checkpoint, self._bar_line
        if place is None or begun is None or begun.length <= len(place.text):
            return False
        notes = self._text[len(place.text) : begun.length]
        if (found := mended(place, notes)) is None:
            return False
        judge, line = found
        self._text, self._line, self._sampled = self._text[: begun.length], place.line, place.sampled + len(notes)
        self.last, self.resumed = begun.last, begun.layers
        return self._write(line, judge)

    def _draw_again(self) -> bool:
        """Goes back to the checkpoint; a tune that was drawn again as often as its request allows is cut."""
        if self._mend():
            return False
        self._redrawn += 1
        self._tries += 1
        if self.checkpoint is None or self._redrawn > self.request.redraws:
            return self._cut()
        if self._tries % FURTHER_BACK == 0:
            self.checkpoint = self.opening or self.previous or self.checkpoint
            self.previous = None
        self._restore(self.checkpoint)
        return False

    def _cut(self) -> bool:
        """Ends a tune that the model writes no further: after its last good bar if it can end well there."""
        closing = self.checkpoint.judge.closing() if self.checkpoint else None
        if self.checkpoint:
            self._text = self.checkpoint.text
        if closing is None:
            self._given_up = True
            return False
        self._text = self._text + closing if closing else as_ended(self._text)
        self.ended = self._closed = True
        return False

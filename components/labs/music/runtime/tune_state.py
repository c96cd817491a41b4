"""The places that a tune which is being written goes back to, and the text that its form says.

Where a tune has a form, the model chooses notes, and where a bar ends. The bar line is the form's, and bars that the
form says again are written as they stand earlier in the tune, because a tune would seldom be drawn exactly as it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from components.datasets.music.form_reader import Form
from components.datasets.music.reader import TUNE_START
from components.labs.music.runtime.bars import BarJudge
from components.labs.music.runtime.checkpoint import Checkpoint, Layers, RandomNumbers, nothing_read
from components.labs.music.runtime.form_text import UNKNOWN, LineCodes, bars_of, given_after
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

_BARS = re.compile("[|:\n]")

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
        """Characters that the model chose, those that were drawn again included."""
        self._used = 0
        """Random numbers used: a number for each character that was looked at, chosen or given within a call."""
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
        self._foreseen: np.ndarray | None = None
        """What the running call is given for its first bar line; None where that is nothing, or behind it."""
        self.unread = np.empty(0, np.int64)
        """Ids (T,) that the model is given before it goes on."""
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
        self._set_place(place, before if begun else None)
        stubborn, self._tries = self._tries >= STUBBORN, 0
        if stubborn:
            self._restore(place)
        return stubborn

    def _set_place(self, place: Checkpoint, before: Checkpoint | None) -> None:
        """before: the last one, where there is a bar between the two."""
        self.previous = before if before and before.judge.full_bars else None
        if place.judge.full_bars >= OPENING:
            self.opening = None
        elif place.judge.in_music and self.opening is None:
            self.opening = place
        self.checkpoint = place

    def _restore(self, place: Checkpoint) -> None:
        self._text, self._line, self._sampled = place.text, place.line, place.sampled
        self._judge, self.last, self.unread = place.at_bar_line.copy(), place.last, place.unread
        if 2 * self._redrawn > self.request.redraws:  # better a tune of another form than one that is cut off
            self._judge.form = None
        self.resumed = place.layers

    def _end_bar(self, judge: BarJudge, form: Form, place: Checkpoint) -> bool:
        """The model has ended a bar of this form: writes its bar line, and the bars after it that the form says again.

        Returns whether the bar is right.
        """
        bars, notes = self._bars_and_notes(judge, form, place)
        said = given_after(form, bars if judge.place.pickup else [*bars, notes], judge.place.pickup)
        ended = judge.after_bars(said.bar_line)
        if ended is None:
            return False
        text, known = said.bar_line, said.bars
        if said.again and self._vocabulary.knows(said.again) and (after := ended.after_bars(said.again)):
            text, ended = text + said.again, after
        elif said.again:
            known = said.bars[: ended.place.next]
        self._text += text
        self.unread = self._vocabulary.encode(self._codes.within(text, self._line))
        self._line += text.count("\n")
        self.ended, self._judge = ended.place.complete, ended.copy()
        last = int(self.unread[-1])
        new = Checkpoint(self._text, self._line, self._sampled, ended, ended, last, self.unread, None, known)
        self._set_place(new, place)
        return True

    def _bars_and_notes(self, judge: BarJudge, form: Form, place: Checkpoint) -> tuple[Sequence[str], str]:
        """The bars of the tune, pickups not counted, and the notes since. judge: of all that is written."""
        notes = _BARS.split(place.judge.pending + self._text[len(place.text) :])[-1]
        bars = place.bars
        if bars is None or len(bars) != judge.place.next:
            bars = bars_of(form, self._text.removesuffix(notes), judge.place.next)
        return bars, notes.strip(" !")

    def given(self, count: int) -> np.ndarray:
        """Ids (N,) that the next call, of so many characters, is given: `given` of `TuneModel.sample`."""
        self._foreseen = None
        judge, place, beyond = self._judge, self.checkpoint, [len(self._vocabulary)]
        if not (judge and judge.form and place and judge.begins_bar_line("|")):
            return self.unread[:count]
        bars, _ = self._bars_and_notes(judge, judge.form, place)
        said = given_after(judge.form, bars if judge.place.pickup else [*bars, UNKNOWN], judge.place.pickup)
        text = said.bar_line + said.again
        if not self._vocabulary.knows(text):
            return self.unread[:count]
        self._foreseen = self._vocabulary.encode(self._codes.within(text, self._line))[:count]
        return np.concatenate([self.unread[:count], beyond, self._foreseen, beyond])

    def _draw_again(self) -> bool:
        """Goes back to the checkpoint; a tune that was drawn again as often as its request allows is cut."""
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

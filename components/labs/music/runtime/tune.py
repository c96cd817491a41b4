"""A tune while it is written.

Where its request allows it, a bar that comes out wrong is drawn again: the tune goes back to its last good bar and goes
on with the next of its random numbers. Where that does not help, the bar before is drawn again as well, or, of a tune
that has hardly begun, all bars. An end that does not fit draws the last bar again, since that is the bar which
completes a pickup. A tune that cannot go on, or finds no end, is closed by forced text.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from components.datasets.music.reader import TUNE_START
from components.labs.music.runtime.bars import BarJudge, Verdict, as_ended
from components.labs.music.runtime.checkpoint import After, Checkpoint, Layers, Sampling, nothing_read
from components.labs.music.runtime.history import LayerState
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest

UNIFORMS = 256
"""Random numbers that are drawn at once at first; later as many as there are already."""

STUBBORN = 4
"""From the so manieth time on that the same bar is drawn again, it is drawn at temperature 1 and without limits: what
always takes the likeliest character would write the same bar for ever."""

FURTHER_BACK = 8
"""After so many times that the same bar was drawn again, what stands before it is drawn again too."""

OPENING = 4
"""Full bars from which on a tune is not begun anew."""

ENDINGS = 4
"""How often the last bar is drawn again because the tune cannot end after it, before forced text takes its place."""

_BAR_END = " \n!|:[]123456789,-"
"""Characters at the end of a good bar that closing the tune may replace."""


class Tune:
    """A tune being written: a row of a Batch."""

    def __init__(self, request: TuneRequest, model: TuneModel) -> None:
        """Raises UserError where forced text holds a character that the model does not know."""
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
        self._random = np.random.Generator(np.random.PCG64(request.seed))
        self._uniforms = np.empty(0, np.float32)
        self._sampled = 0
        """Characters of the text that the model chose."""
        self._drawn = 0
        """Random numbers used: a number for each character that was looked at, those that were drawn again included."""
        self._line = 0
        self._text = ""
        self._told = 0
        self._judge = BarJudge(all_fields=any(request.forced)) if request.redraws else None
        self._redrawn = 0
        self._tries = 0
        """How often the bar that is being written was drawn again."""
        self._endings = 0
        """How often the tune could not end where the model wanted to."""
        self._closed = self._given_up = False
        self.unread = self._force()
        """Ids (T,) that the model must read before it goes on."""
        self.resumed: LayerState | None = None
        """Where the model goes on when `take` has returned False; None before it has read anything."""
        self._keep_place()

    @property
    def finished(self) -> bool:
        """Ended, or cut off."""
        return self.ended or self._given_up

    @property
    def sample(self) -> Sample:
        """What is written so far."""
        text = self._text.rstrip("\n") if self.ended else self._text
        return Sample(text, self.ended, self._drawn, self._redrawn, self._closed)

    @property
    def sampling(self) -> Sampling:
        """How the next characters are drawn."""
        if self._tries >= STUBBORN:
            return Sampling(1.0, 0, 1.0)
        return Sampling(self.request.temperature, self.request.top_k, self.request.top_p)

    def new_text(self) -> str:
        """What was written since this was last asked for, and will not be drawn again."""
        final = self._text
        if (place := self.opening or self.previous or self.checkpoint) is not None and not self.finished:
            final = place.text.rstrip(_BAR_END)
        new, self._told = final[self._told :], max(self._told, len(final))
        return new

    def uniforms(self, count: int) -> np.ndarray:
        """(count,) float32 in [0, 1) for the next characters. A number belongs to a character that is looked at: those
        of characters that are thrown away unseen are used again."""
        end = self._drawn + count
        if end > len(self._uniforms):
            more = self._random.random(max(count, UNIFORMS, len(self._uniforms)), dtype=np.float32)
            self._uniforms = np.concatenate([self._uniforms, more])
        return self._uniforms[self._drawn : end]

    def take(self, chars: np.ndarray, after: After = nothing_read) -> bool:
        """Adds the characters (K,) that the model chose next, up to the tune's end or to where forced text begins.

        after: the model's state after the first so many of what it has read in this call: `last`, and then `chars`.
        Returns whether all were taken and the model may go on from them. Else the tune is finished, or the model goes
        on from `resumed`: it reads `unread` there.
        """
        text, position = self._vocabulary.decode(chars), 0
        while position < len(text):
            start, (position, verdict) = position, self._push_line(text, position)
            if position > start:
                self._drawn += position - start
                self._add(text[start:position], int(chars[position - 1]))
                if self._sampled >= self.request.max_length:
                    return self._cut()
                if position == len(text):
                    return True
            if not self._take_last(text[position], int(chars[position]), verdict, after, position):
                return False
            position += 1
        return True

    def _push_line(self, text: str, start: int) -> tuple[int, Verdict]:
        """Where the characters from `start` stop: before the first one with a verdict, or before the line's end."""
        most = min(len(text), start + self.request.max_length - self._sampled)
        if self._judge:
            return self._judge.push_line(text, start, most)
        end = text.find("\n", start, most)
        return most if end < 0 else end, Verdict.OPEN

    def _take_last(self, character: str, chosen: int, verdict: Verdict, after: After, position: int) -> bool:
        """As `take`, of the character at this position: one with a verdict, or a line's end, which has none yet."""
        self._drawn += 1
        if chosen == self.last == self._newline:
            return self._end()
        if self._judge and verdict is Verdict.OPEN:
            verdict = self._judge.push(character)
        if verdict is Verdict.BAR and self._keep_place(partial(after, position), character):
            return False
        self._add(character, chosen)
        if verdict is Verdict.BAD:
            return self._draw_again()
        stops = character == "\n" and self._start_line(partial(after, position + 1), verdict is Verdict.FIELD)
        return self._cut() if self._sampled >= self.request.max_length else not stops

    def _add(self, text: str, last: int) -> None:
        self._text += text
        self._sampled += len(text)
        self.last = last

    def save_read(self, layers: LayerState) -> None:
        """The model has read all of `unread`. layers: before it reads `last`."""
        if (place := self.checkpoint) is not None:
            place.layers, place.last, place.unread = layers, self.last, self.unread

    def to_read(self, most: int) -> np.ndarray:
        """Ids (T,) that the model reads to get past up to `most` characters of `unread`, which they are taken from."""
        part, self.unread = self.unread[:most], self.unread[most:]
        if not len(part):
            return part
        ids, self.last = np.concatenate([[self.last], part[:-1]]), int(part[-1])
        return ids

    def _start_line(self, layers: Layers, judged: bool) -> bool:
        """Begins the next line. layers: before the model reads the line's end. judged: all before it is good.

        Returns whether the model must read `unread` before it goes on.
        """
        self._line += 1
        if self._line in self.request.forced:
            self.unread, self.resumed = self._force(), layers()
            self._keep_place(layers)
            return True
        return judged and self._keep_place(layers)

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
        self.resumed = place.layers

    def _end(self) -> bool:
        """The model has ended the tune. Returns False, as all that follow."""
        self.ended = self._judge is None or self._judge.ends_well()
        if self.ended:
            return False
        self._endings += 1
        place = self.checkpoint
        if place and self.previous and place.text.rstrip(_BAR_END) == self._text.rstrip(_BAR_END):
            self.checkpoint, self.previous = self.previous, None  # the last bar is one that is kept
        return self._cut() if self._endings > ENDINGS else self._draw_again()

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

    def _force(self) -> np.ndarray:
        """Writes the forced text of the line that starts here, and of the lines after it while it fills them.

        Returns what the model reads of it. A tune with a wrong bar in it is not judged any more: no other bar helps.
        """
        text = read = ""
        forced = self.request.forced
        self.previous = self.opening = None
        while self._line in forced and (not text or text.endswith("\n")):
            addition = forced[self._line]
            read += self.request.read_as.get(self._line, addition)
            self._line += addition.count("\n")
            text += addition
        self._text += text
        if self._judge and self._judge.push_forced(read) is Verdict.BAD:
            self._judge = self.checkpoint = None
        return self._vocabulary.encode(read)

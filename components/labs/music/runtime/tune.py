"""A tune while it is written.

Where its request allows it, a bar that comes out wrong is drawn again: the tune goes back to its last good bar and goes
on with the next of its random numbers. Where that does not help, the bar before is drawn again as well, or, of a tune
that has hardly begun, all bars. An end that does not fit draws the last bar again, since that is the bar which
completes a pickup. A tune that cannot go on, or finds no end, is closed by forced text.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from components.labs.music.runtime.bars import Verdict
from components.labs.music.runtime.checkpoint import After, Layers, Sampling, nothing_read
from components.labs.music.runtime.history import LayerState
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.tune_state import BAR_END, STUBBORN, TuneState

ENDINGS = 4
"""How often the last bar is drawn again because the tune cannot end after it, before forced text takes its place."""


class Tune(TuneState):
    """A tune being written: a row of a Batch."""

    def __init__(self, request: TuneRequest, model: TuneModel) -> None:
        """Raises UserError where forced text holds a character that the model does not know."""
        super().__init__(request, model)
        self._told = 0
        self.unread = self._force()
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
            final = place.text.rstrip(BAR_END)
        new, self._told = final[self._told :], max(self._told, len(final))
        return new

    def uniforms(self, count: int) -> np.ndarray:
        """(count,) float32 in [0, 1) for the next characters. A number belongs to a character that is looked at: those
        of characters that are thrown away unseen are used again."""
        return self._random.part(self._used, count)

    def take(self, chars: np.ndarray, after: After = nothing_read) -> bool:
        """Adds the characters (K,) of a call, which the model chose or was given, up to the tune's end or to where
        other text is to be given than what the call was told.

        after: the model's state after the first so many of what it has read in this call: `last`, and then `chars`.
        Returns whether all were taken and the model may go on from them. Else the tune is finished, or the model goes
        on from `resumed`: it is given `unread` there.
        """
        text, position = self._vocabulary.decode(chars), self._pass_given(chars, 0, after)
        while 0 <= position < len(text):
            start, (position, verdict) = position, self._push_line(text, position)
            if position > start:
                self._count(position - start)
                self._add(text[start:position], int(chars[position - 1]))
                if self._sampled >= self.request.max_length:
                    return self._cut()
                if position == len(text):
                    return True
            if self._may_end_bar(text[position]):
                position = self._take_bar_line(chars, position, after)
            elif self._take_last(text[position], int(chars[position]), verdict, after, position):
                position += 1
            else:
                return False
        return position >= 0

    def _count(self, characters: int) -> None:
        """The model chose so many more."""
        self._drawn += characters
        self._used += characters

    def _push_line(self, text: str, start: int) -> tuple[int, Verdict]:
        """Where the characters from `start` stop: before the first one with a verdict, or before the line's end."""
        most = min(len(text), start + self.request.max_length - self._sampled)
        if self._judge:
            return self._judge.push_line(text, start, most)
        end = text.find("\n", start, most)
        return most if end < 0 else end, Verdict.OPEN

    def _pass_given(self, chars: np.ndarray, position: int, after: After) -> int:
        """Passes `unread`, as far as the call was given it from this position on; returns the position then.

        Where it was not, returns -1: the model goes on from there.
        """
        count = min(len(self.unread), len(chars) - position)
        if not count:
            return position
        if not np.array_equal(chars[position : position + count], self.unread[:count]):
            self.resumed = after(position)
            return -1
        self.last, self.unread = int(self.unread[count - 1]), self.unread[count:]
        self._used += count
        position += count
        if not len(self.unread) and (layers := after(position - 1)):
            self.save_read(layers)
        return position

    def _may_end_bar(self, character: str) -> bool:
        judge = self._judge
        return bool(judge and judge.form and self.checkpoint and judge.begins_bar_line(character))

    def _take_bar_line(self, chars: np.ndarray, position: int, after: After) -> int:
        """The model ends a bar at this position of a tune with a form; as `_pass_given`."""
        self._drawn += 1
        judge, place = self._judge, self.checkpoint
        if not (judge and judge.form and place and self._end_bar(judge, judge.form, place)):
            self._used += 1
            self._draw_again()
            return -1
        stubborn, self._tries = self._tries >= STUBBORN, 0
        rest = len(chars) - position
        other = self._foreseen is not None and not np.array_equal(self._foreseen[:rest], self.unread[:rest])
        self._foreseen = None
        if self.ended or stubborn or other:  # what the call has after this is drawn otherwise, or not drawn
            self.resumed = after(position)
            return -1
        return self._pass_given(chars, position, after)

    def _take_last(self, character: str, chosen: int, verdict: Verdict, after: After, position: int) -> bool:
        """As `take`, of the character at this position: one with a verdict, or a line's end, which has none yet."""
        self._count(1)
        if chosen == self.last == self._newline:
            return self._end(partial(after, position))
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
        if (place := self.checkpoint) is not None and place.text == self._text:
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

        Returns whether the model must be given `unread` before it goes on.
        """
        self._line += 1
        self._codes.begin_line(self._text, self._line)
        if self._line in self.request.forced:
            self.unread, self.resumed = self._force(), layers()
            self._keep_place(layers)
            return True
        if code := self._codes.before(self._line):
            self.unread, self.resumed = self._vocabulary.encode(code), layers()
            if judged:
                self._keep_place(layers)
            return True
        return judged and self._keep_place(layers)

    def _end(self, layers: Layers) -> bool:
        """The model has ended the tune. Returns False, as all that follow."""
        self.ended = self._judge is None or self._judge.ends_well()
        if self.ended:
            return False
        if self._judge and self._judge.form and self._judge.copy().push("A") is Verdict.BAD:
            return self._draw_again()
        self._endings += 1
        if self._judge and self._judge.form and self._endings <= ENDINGS:  # there is more to come
            self.resumed, self.unread = layers(), self.unread[:0]
            return False
        place = self.checkpoint
        if place and self.previous and place.text.rstrip(BAR_END) == self._text.rstrip(BAR_END):
            self.checkpoint, self.previous = self.previous, None  # the last bar is one that is kept
        return self._cut() if self._endings > ENDINGS else self._draw_again()

    def _force(self) -> np.ndarray:
        """Writes the forced text of the line that starts here, and of the lines after it while it fills them.

        Returns what the model reads of it. A tune with a wrong bar in it is not judged any more: no other bar helps.
        """
        text = read = given = ""
        forced = self.request.forced
        self.previous = self.opening = None
        while self._line in forced and (not text or text.endswith("\n")):
            addition = forced[self._line]
            reading = self.request.read_as.get(self._line, addition)
            read, given = read + reading, given + self._codes.before(self._line) + reading
            self._line += addition.count("\n")
            text += addition
            self._codes.begin_line(text, self._line)
        if text.endswith("\n"):
            given += self._codes.before(self._line)
        self._text += text
        if self._judge and self._judge.push_forced(read) is Verdict.BAD:
            self._judge = self.checkpoint = None
        return self._vocabulary.encode(given)

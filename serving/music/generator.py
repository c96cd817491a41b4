"""From what was asked for over HTTP to tunes: what cannot be written is refused, and what is written is checked."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace

from components.errors import UserError
from components.labs.music.params import Serve
from components.labs.music.runtime.acceptance import facts, problems
from components.labs.music.runtime.conditioning import Conditions, Options, common_forms, in_words
from components.labs.music.runtime.prompt import conditioned, may_have_form, start_fault
from components.labs.music.runtime.request import SEEDS, Sample, TuneRequest, sample_seed
from serving.core.problems import wrong_fields
from serving.music.batching import TuneBatcher
from serving.music.metrics import TuneMetrics
from serving.music.schemas import GenerateRequest, StreamRequest, TuneAnswer


class TuneGenerator:
    def __init__(self, batcher: TuneBatcher, options: Options, limits: Serve, metrics: TuneMetrics) -> None:
        self._batcher = batcher
        self._options = options
        self._limits = limits
        self._metrics = metrics

    def seed(self, asked: StreamRequest) -> int:
        return secrets.randbelow(SEEDS) if asked.seed is None else asked.seed

    def refuse_impossible(self, asked: StreamRequest) -> None:
        """Raises RefusalError that names the field which the model cannot write, before anything is sampled."""
        if asked.metre and asked.type and asked.type not in self._options.types_in(asked.metre):
            raise wrong_fields([("type", self._contradiction(asked.metre, asked.type))])
        for field in ("key", "title"):
            self._refuse_unknown(field, getattr(asked, field) or "")
        for text in self._request(asked, seed=0).read_as.values() or [asked.start or ""]:
            self._refuse_unknown("start", text)
        self._refuse_form(_conditions(asked))
        if asked.valid_only and (fault := start_fault(_conditions(asked), self._options)):
            raise wrong_fields([("start", f"no tune that begins with it is valid: {fault}")])

    async def write(self, asked: GenerateRequest, seed: int, index: int) -> TuneAnswer:
        """The request's tune number `index`, which may be not valid."""
        own = sample_seed(seed, index)
        with self._batcher.tune(self._request(asked, own), streamed=False) as tune:
            return self._answer(asked, await tune.whole(), own)

    async def stream(self, asked: StreamRequest, seed: int) -> AsyncGenerator[str | TuneAnswer]:
        """Its text as soon as it is final, then the tune."""
        with self._batcher.tune(self._request(asked, seed), streamed=True) as tune:
            async for piece in tune.delivery.pieces(self._limits.stream_interval_ms / 1000):
                yield piece
            sample = await tune.whole()
        yield self._answer(asked, sample, seed)

    def _request(self, asked: StreamRequest, seed: int) -> TuneRequest:
        request = TuneRequest(
            seed=seed,
            temperature=asked.temperature,
            top_k=asked.top_k,
            top_p=asked.top_p,
            max_length=asked.max_length,
            redraws=self._limits.redraws if asked.valid_only else 0,
        )
        return conditioned(request, _conditions(asked), self._options)

    def _answer(self, asked: StreamRequest, sample: Sample, seed: int) -> TuneAnswer:
        found = problems(sample, _conditions(asked))
        self._metrics.samples.labels("false" if found else "true").inc()
        self._metrics.redrawn.inc(sample.redrawn)
        self._metrics.closed.inc(sample.closed)
        return TuneAnswer(
            abc=sample.text,
            length=len(sample.text),
            valid=not found,
            problems=found,
            seed=seed,
            redrawn=sample.redrawn,
            closed=sample.closed,
            **facts(sample.text),
        )

    def _refuse_unknown(self, field: str, text: str) -> None:
        """Raises RefusalError when the model lacks one of the text's characters."""
        try:
            self._batcher.model.vocabulary.encode(text)
        except UserError as error:
            raise wrong_fields([(field, str(error))]) from None

    def _refuse_form(self, conditions: Conditions) -> None:
        """Raises RefusalError when no training tune of the metre and type has the form, or none that begins so."""
        if not conditions.of_form:
            return
        field = "parts" if conditions.parts else "bars" if conditions.bars else "repeats"
        if not self._options.forms:
            raise wrong_fields([(field, "this model reads no forms: leave it out")])
        if may_have_form(conditions, self._options):
            return
        anything = replace(conditions, parts=0, bars=0, repeats=None)
        known = self._options.forms_of(replace(anything, start=""))
        asked = in_words(conditions)
        if self._options.forms_of(conditions):
            raise wrong_fields([(field, f"no tune that begins with the start has {asked}")])
        offered = "; ".join(common_forms(known))
        what = " ".join(filter(None, [conditions.type or "tune", conditions.metre and f"in {conditions.metre}"]))
        raise wrong_fields([(field, f"the model knows no {what} of {asked}; it knows: {offered or 'nothing'}")])

    def _contradiction(self, metre: str, type: str) -> str:
        metres = [each for each in self._options.metres if type in self._options.types_in(each)]
        return (
            f"the model knows no {type} in {metre}: a {type} is in {' or '.join(metres)}, and in "
            f"{metre} there is {' or '.join(self._options.types_in(metre))}"
        )


def _conditions(asked: StreamRequest) -> Conditions:
    texts = {name: getattr(asked, name) or "" for name in ("key", "metre", "type", "title", "start")}
    return Conditions(**texts, parts=asked.parts or 0, bars=asked.bars or 0, repeats=asked.repeats)

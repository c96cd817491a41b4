"""From what was asked for over HTTP to tunes: what cannot be written is refused, and what is written is checked."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator

from components.errors import UserError
from components.labs.music.params import Serve
from components.labs.music.runtime.acceptance import facts, problems
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.prompt import conditioned
from components.labs.music.runtime.sampler import SEEDS, Sample, TuneRequest, sample_seed
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

    def request(self, asked: StreamRequest, seed: int) -> TuneRequest:
        """Raises RefusalError that names the field which the model cannot write, before anything is sampled."""
        self._refuse_contradiction(asked)
        request = TuneRequest(
            seed=seed,
            temperature=asked.temperature,
            top_k=asked.top_k,
            top_p=asked.top_p,
            max_length=asked.max_length,
        )
        made = conditioned(request, _conditions(asked), self._options)
        for field in ("key", "title", "start"):
            self._refuse_unknown(field, getattr(asked, field) or "")
        for text in made.read_as.values():
            self._refuse_unknown("start", text)
        return made

    async def write(self, asked: GenerateRequest, seed: int, index: int) -> TuneAnswer | None:
        """The request's tune number `index`: the first of its samples that is accepted; None when none was."""
        for attempt in range(self._limits.attempts):
            own = sample_seed(seed, index, attempt)
            with self._batcher.tune(self.request(asked, own), streamed=False) as tune:
                sample = await tune.whole()
            answer = self._answer(asked, sample, own, attempt + 1)
            if answer.valid or not asked.valid_only:
                return answer
        return None

    async def stream(self, asked: StreamRequest, seed: int) -> AsyncGenerator[str | TuneAnswer]:
        """One sample: its text as it is written, then the tune."""
        with self._batcher.tune(self.request(asked, seed), streamed=True) as tune:
            async for piece in tune.delivery.pieces(self._limits.stream_interval_ms / 1000):
                yield piece
            sample = await tune.whole()
        yield self._answer(asked, sample, seed, 1)

    def _answer(self, asked: StreamRequest, sample: Sample, seed: int, attempts: int) -> TuneAnswer:
        found = problems(sample, _conditions(asked))
        self._metrics.samples.labels("false" if found else "true").inc()
        return TuneAnswer(
            abc=sample.text,
            length=len(sample.text),
            valid=not found,
            problems=found,
            seed=seed,
            attempts=attempts,
            **facts(sample.text),
        )

    def _refuse_unknown(self, field: str, text: str) -> None:
        """Raises RefusalError when the model lacks one of the text's characters."""
        try:
            self._batcher.model.vocabulary.encode(text)
        except UserError as error:
            raise wrong_fields([(field, str(error))]) from None

    def _refuse_contradiction(self, asked: StreamRequest) -> None:
        if not (asked.metre and asked.type) or asked.type in self._options.types_in(asked.metre):
            return
        metres = [metre for metre in self._options.metres if asked.type in self._options.types_in(metre)]
        reason = (
            f"the model knows no {asked.type} in {asked.metre}: a {asked.type} is in {' or '.join(metres)}, and in "
            f"{asked.metre} there is {' or '.join(self._options.types_in(asked.metre))}"
        )
        raise wrong_fields([("type", reason)])


def _conditions(asked: StreamRequest) -> Conditions:
    return Conditions(**{name: getattr(asked, name) or "" for name in ("key", "metre", "type", "title", "start")})

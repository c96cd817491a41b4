"""From what was asked for to a tune: the plan, the samples, and the check that what is returned is valid ABC."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator

from components.errors import UserError
from components.labs.music.abc import check
from components.labs.music.params import Serve
from components.labs.music.runtime import SEEDS, sample_seed
from serving.limits import RefusalError
from serving.tunes.batching import Batcher, Plan
from serving.tunes.metrics import TuneMetrics
from serving.tunes.schemas import GenerateRequest, StreamRequest, TuneAnswer, begins_with_header

MUSIC_LINE = 6
"""Where the music starts, in every tune of the collection: X, T, Z, M, L and K come first, in this order."""


class TuneMaker:
    def __init__(self, batcher: Batcher, limits: Serve, metrics: TuneMetrics) -> None:
        self._batcher = batcher
        self._limits = limits
        self._metrics = metrics

    def seed(self, wish: StreamRequest) -> int:
        return secrets.randbelow(SEEDS) if wish.seed is None else wish.seed

    def plan(self, wish: StreamRequest, seed: int) -> Plan:
        characters = len(self._batcher.model.vocabulary)
        return Plan(
            seed=seed,
            temperature=wish.temperature,
            top_k=min(wish.top_k, characters) or characters,
            top_p=wish.top_p,
            max_length=wish.max_length,
            forced=self._forced(wish),
        )

    async def make(self, wish: GenerateRequest, seed: int, index: int) -> TuneAnswer | None:
        """The request's tune number `index`: the first of its samples that is valid; None when none was."""
        for attempt in range(self._limits.attempts):
            own = sample_seed(seed, index, attempt)
            with self._batcher.make(self.plan(wish, own), streamed=False) as tune:
                text = await tune.whole()
            answer = self._answer(wish, text, tune.ended, own, attempt + 1)
            if answer.valid or not wish.valid_only:
                return answer
        return None

    async def stream(self, wish: StreamRequest, seed: int) -> AsyncGenerator[str | TuneAnswer]:
        """One sample: its text as it is made, then the tune."""
        with self._batcher.make(self.plan(wish, seed), streamed=True) as tune:
            pieces = []
            async for piece in tune.pieces(self._limits.stream_interval_ms / 1000):
                pieces.append(piece)
                yield piece
        yield self._answer(wish, "".join(pieces).strip(), tune.ended, seed, 1)

    def _answer(self, wish: StreamRequest, text: str, ended: bool, seed: int, attempts: int) -> TuneAnswer:
        """ended: the model ended the tune itself; one that was cut off is not valid, wherever it stops."""
        headers, music = split_headers(text)
        facts = {
            "title": headers.get("T", ""),
            "key": headers.get("K", ""),
            "metre": headers.get("M", ""),
            "type": headers.get("Z", "").removeprefix("id:dc-").rpartition("-")[0],
        }
        problems = check(text) if ended else ["cut off at max_length before its end"]
        # Forced lines are forced by number: a model that leaves a header out puts them elsewhere.
        for name, value in facts.items():
            if getattr(wish, name) and getattr(wish, name).strip() != value:
                problems.append(f"{name} is not as asked")
        if wish.start and not (text + "\n" if begins_with_header(wish.start) else music).startswith(wish.start):
            problems.append("start is not where the music begins")
        self._metrics.samples.labels("false" if problems else "true").inc()
        return TuneAnswer(
            abc=text, length=len(text), valid=not problems, problems=problems, seed=seed, attempts=attempts, **facts
        )

    def _forced(self, wish: StreamRequest) -> dict[int, str]:
        start = wish.start or ""
        whole = begins_with_header(start)
        lines = {
            "title": (1, f"T:{wish.title}\n" if wish.title else ""),
            "type": (2, f"Z: id:dc-{wish.type}-" if wish.type else ""),
            "metre": (3, f"M:{wish.metre}\n" if wish.metre else ""),
            "key": (5, f"K:{wish.key}\n" if wish.key else ""),
            "start": (0 if whole else MUSIC_LINE, start),
        }
        for field, (_, text) in lines.items():
            try:
                self._batcher.model.vocabulary.encode(text)
            except UserError as error:
                raise RefusalError(422, f"{field}: {error}", [(field, str(error))]) from None
        return {line: text for line, text in lines.values() if text}


def split_headers(text: str) -> tuple[dict[str, str], str]:
    """The fields before the music, the first of each letter, and the music."""
    headers: dict[str, str] = {}
    while text[1:2] == ":" and text[:1].isalpha():
        line, _, text = text.partition("\n")
        headers.setdefault(line[0], line[2:].strip())
    return headers, text

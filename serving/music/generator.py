"""From what was asked for to a tune: the plan, the samples, and the check that what is returned is valid ABC."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator

from components.datasets.music.abc_notation import check
from components.errors import UserError
from components.labs.music.params import Serve
from components.labs.music.runtime.conditioning import MUSIC_LINE, Options
from components.labs.music.runtime.sampler import SEEDS, sample_seed
from serving.core.request_guard import RefusalError
from serving.music.batching import Batcher, Plan
from serving.music.metrics import TuneMetrics
from serving.music.prompt import as_collected, begins_with_header
from serving.music.schemas import GenerateRequest, StreamRequest, TuneAnswer


class TuneMaker:
    def __init__(self, batcher: Batcher, options: Options, limits: Serve, metrics: TuneMetrics) -> None:
        self._batcher = batcher
        self._options = options
        self._limits = limits
        self._metrics = metrics

    def seed(self, wish: StreamRequest) -> int:
        return secrets.randbelow(SEEDS) if wish.seed is None else wish.seed

    def plan(self, wish: StreamRequest, seed: int) -> Plan:
        """Raises RefusalError that names the field which the model cannot write, before anything is sampled."""
        self._refuse_contradiction(wish)
        characters = len(self._batcher.model.vocabulary)
        whole = wish.start if wish.start and begins_with_header(wish.start) else ""
        return Plan(
            seed=seed,
            temperature=wish.temperature,
            top_k=min(wish.top_k, characters) or characters,
            top_p=wish.top_p,
            max_length=wish.max_length,
            forced=self._forced(wish, seed),
            read_as={0: self._known("start", as_collected(whole, self._options, seed))} if whole else {},
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

    def _forced(self, wish: StreamRequest, seed: int) -> dict[int, str]:
        for field in ("key", "title", "start"):
            self._known(field, getattr(wish, field) or "")
        if wish.start and begins_with_header(wish.start):
            return {0: wish.start}
        lines = self._options.forced_lines(
            seed, key=wish.key or "", metre=wish.metre or "", type=wish.type or "", title=wish.title or ""
        )
        return lines | ({MUSIC_LINE: wish.start} if wish.start else {})

    def _known(self, field: str, text: str) -> str:
        """The text. Raises RefusalError when the model lacks one of its characters."""
        try:
            self._batcher.model.vocabulary.encode(text)
        except UserError as error:
            raise RefusalError(422, f"{field}: {error}", [(field, str(error))]) from None
        return text

    def _refuse_contradiction(self, wish: StreamRequest) -> None:
        if not (wish.metre and wish.type) or wish.type in self._options.types_in(wish.metre):
            return
        metres = [metre for metre in self._options.metres if wish.type in self._options.types_in(metre)]
        reason = (
            f"the model knows no {wish.type} in {wish.metre}: a {wish.type} is in {' or '.join(metres)}, and in "
            f"{wish.metre} there is {' or '.join(self._options.types_in(wish.metre))}"
        )
        raise RefusalError(422, f"type: {reason}", [("type", reason)])


def split_headers(text: str) -> tuple[dict[str, str], str]:
    """The fields before the music, the first of each letter, and the music."""
    headers: dict[str, str] = {}
    while text[1:2] == ":" and text[:1].isalpha():
        line, _, text = text.partition("\n")
        headers.setdefault(line[0], line[2:].strip())
    return headers, text

"""The generator thread: tunes made together are the tunes made alone, and slots are shared fairly and given back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.bundle import Bundle
from components.labs.music.runtime.model import State, Steps, TuneModel
from components.labs.music.runtime.request import Sample, TuneRequest
from components.labs.music.runtime.sampler import generate
from serving.core.problems import BrokenError, DrainingError, FullError
from serving.music.batching import ServedBatch, ServedTune, TuneBatcher

T = TypeVar("T")
REQUESTS = [
    TuneRequest(seed=1, max_length=300),
    TuneRequest(seed=2, temperature=0.7, top_k=5, max_length=203),
    TuneRequest(seed=3, temperature=1.3, top_p=0.9, max_length=1),
    TuneRequest(seed=4, temperature=0.5, max_length=400, forced={2: "Z: id:dc-reel-", 5: "K:G Major\n"}),
    TuneRequest(seed=5, temperature=0.5, max_length=300, forced={0: "X:1\nT:Start\nM:C\nL:1/8\nK:A Dorian\n"}),
    TuneRequest(seed=6, temperature=0.9, max_length=300, forced={1: "T:a\n", 2: "M:C\n", 4: "K:B Minor\n"}),
]


class Watched:
    """A model that counts the tunes in each of its blocks. blocks: how many it may make; for ever by default."""

    def __init__(self, model: TuneModel, blocks: int = 10**9) -> None:
        self._model = model
        self.turns = threading.Semaphore(blocks)
        self.batches: list[int] = []
        self.counts: list[int] = []
        """Characters of each block."""
        self.reads: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def sample(self, state: State, last: np.ndarray, *settings: np.ndarray) -> tuple[np.ndarray, Steps]:
        assert self.turns.acquire(timeout=600)
        self.batches.append(len(last))
        self.counts.append(settings[0].shape[1])
        return self._model.sample(state, last, *settings)

    def read(self, ids: np.ndarray, state: State) -> tuple[State, np.ndarray]:
        self.reads.append(ids.shape[1])
        return self._model.read(ids, state)


@pytest.fixture(scope="module")
def model(music_bundle: Path) -> TuneModel:
    return TuneModel.load(Bundle.open(music_bundle), "int8")


@asynccontextmanager
async def batching(
    model: Any, active: int = 32, waiting: int = 0, read_chars: int = 64, opening_steps: int = 3
) -> AsyncIterator[TuneBatcher]:
    batcher = TuneBatcher(model, active, waiting, read_chars, opening_steps)
    batcher.start()
    try:
        yield batcher
    finally:
        batcher.stop()


async def whole(batcher: TuneBatcher, request: TuneRequest, streamed: bool = False) -> Sample:
    with batcher.tune(request, streamed=streamed) as tune:
        return await tune.whole()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 600))


def test_a_tune_is_the_one_that_the_bundle_writes_offline(model: TuneModel) -> None:
    """What evaluation measures is what users get: free, from a start, and with header lines forced."""
    lines = {2: "Z: id:dc-jig-", 3: "M:6/8\n", 5: "K:G Major\n", 6: "B3 cBc|"}
    requests = [*REQUESTS, TuneRequest(seed=7, temperature=0.8, max_length=250, forced=lines)]

    async def serve() -> list[Sample]:
        async with batching(model) as batcher:
            return await asyncio.gather(*(whole(batcher, request) for request in requests))

    assert run(serve()) == generate(model, requests)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    crowd=st.lists(st.sampled_from(range(len(REQUESTS))), max_size=8),
    active=st.integers(1, 5),
    read_chars=st.sampled_from([7, 64]),
)
def test_a_tune_does_not_depend_on_the_tunes_beside_it(
    model: TuneModel, crowd: list[int], active: int, read_chars: int
) -> None:
    async def alone() -> list[Sample]:
        async with batching(model) as batcher:
            return [await whole(batcher, request) for request in REQUESTS]

    async def together() -> list[Sample]:
        async with batching(model, active, read_chars=read_chars) as batcher:
            chosen = [*REQUESTS, *(REQUESTS[index] for index in crowd)]
            return await asyncio.gather(*(whole(batcher, request, bool(request.seed % 2)) for request in chosen))

    assert run(together())[: len(REQUESTS)] == run(alone())


def test_forced_lines_are_in_the_tune_and_the_model_writes_the_others(model: TuneModel) -> None:
    async def serve() -> list[Sample]:
        async with batching(model) as batcher:
            return await asyncio.gather(*(whole(batcher, request) for request in (REQUESTS[3], REQUESTS[5])))

    one, other = (sample.text.split("\n") for sample in run(serve()))
    assert one[2].startswith("Z: id:dc-reel-")
    assert one[5] == "K:G Major"
    assert one[0].startswith("X:")
    assert other[1:3] == ["T:a", "M:C"]
    assert other[3].startswith("L:")
    assert other[4] == "K:B Minor"


def test_pieces_add_up_to_the_tune_and_come_one_by_one(model: TuneModel) -> None:
    async def serve() -> tuple[list[str], int, Sample]:
        watched = Watched(model, blocks=0)
        pieces = []
        async with batching(watched) as batcher:
            watched.turns.release()
            with batcher.tune(REQUESTS[3], streamed=True) as tune:
                async for piece in tune.delivery.pieces():
                    pieces.append(piece)
                    watched.turns.release()  # no block before the last one's text was there
            blocks = len(watched.batches)
            watched.turns.release(10_000)
            return pieces, blocks, await whole(batcher, REQUESTS[3])

    pieces, blocks, sample = run(serve())
    assert "".join(pieces).rstrip("\n") == sample.text
    assert 1 < len(pieces) in (blocks - 1, blocks), "the last may be empty"


def test_the_first_characters_of_a_stream_are_written_by_a_short_call_of_its_own(model: TuneModel) -> None:
    watched = Watched(model)
    stream, plain, started = REQUESTS[1], REQUESTS[0], REQUESTS[4]

    async def serve() -> list[Sample]:
        async with batching(watched) as batcher:
            first = whole(batcher, stream, streamed=True)
            return list(await asyncio.gather(first, whole(batcher, plain), whole(batcher, started, streamed=True)))

    assert run(serve()) == generate(model, [stream, plain, started])
    calls = list(zip(watched.batches, watched.counts, strict=True))
    assert calls.count((1, 3)) == 1
    assert {count for _, count in calls if count != 3} == {model.steps_per_call}


def test_streams_that_begin_one_after_the_other_do_not_keep_the_others_waiting(model: TuneModel) -> None:
    batch = ServedBatch(model, read_chars=64, opening_steps=1)
    long = ServedTune(TuneRequest(seed=1, max_length=40), model, streamed=False)
    batch.join(long)
    for seed in range(100):
        batch.join(ServedTune(TuneRequest(seed=seed, max_length=1), model, streamed=True))
        batch.step()
        if long.finished:
            break
    assert long.finished
    assert len(batch) <= 2


def test_tunes_are_stepped_together_and_never_more_than_there_are_slots(model: TuneModel) -> None:
    watched = Watched(model, blocks=0)

    async def serve() -> None:
        async with batching(watched, active=3, waiting=9) as batcher:
            tunes = asyncio.gather(*(whole(batcher, REQUESTS[0]) for _ in range(9)))
            await asyncio.sleep(0)  # all are asked for before the first can be finished
            watched.turns.release(10_000)
            await tunes

    run(serve())
    assert max(watched.batches) == 3


def test_slots_are_given_first_come_first_served(model: TuneModel) -> None:
    finished: list[int] = []

    async def one(batcher: TuneBatcher, index: int) -> None:
        await whole(batcher, TuneRequest(seed=index, max_length=1))
        finished.append(index)

    async def serve() -> None:
        async with batching(model, active=1, waiting=9) as batcher:
            await asyncio.gather(*(one(batcher, index) for index in range(10)))

    run(serve())
    assert finished == list(range(10))


def test_a_tune_nobody_waits_for_frees_its_slot(model: TuneModel) -> None:
    endless = TuneRequest(seed=1, temperature=2.0, max_length=2_000_000)

    async def serve() -> Sample:
        async with batching(model, active=1) as batcher:
            with batcher.tune(endless, streamed=True) as tune:
                async for _ in tune.delivery.pieces():
                    break
            return await whole(batcher, REQUESTS[0])

    assert run(serve()).text


def test_a_long_start_is_read_in_stretches_between_the_blocks_of_the_others(model: TuneModel) -> None:
    watched = Watched(model)
    start = "X:1\nT:Long\nM:C\nL:1/8\nK:D Major\n" + "abcd efga|" * 50

    async def serve() -> None:
        async with batching(watched, read_chars=50) as batcher:
            await asyncio.gather(
                whole(batcher, REQUESTS[0]),
                whole(batcher, TuneRequest(seed=1, max_length=10, forced={0: start})),
            )

    run(serve())
    assert sum(watched.reads) == len(start)
    assert max(watched.reads) == 50
    assert set(watched.batches[:10]) == {1}, "the tune without a start plays on meanwhile"


def test_places_run_out_and_come_back(model: TuneModel) -> None:
    async def serve() -> None:
        async with batching(model, active=2, waiting=1) as batcher:
            with batcher.hold(2):
                with pytest.raises(FullError), batcher.hold(2):
                    pass
                with batcher.hold(1):
                    assert batcher.taken == 3
            assert batcher.taken == 0
            batcher.draining = True
            with pytest.raises(DrainingError), batcher.hold(1):
                pass

    run(serve())


def test_when_the_model_fails_everybody_hears_of_it(model: TuneModel) -> None:
    class Failing(Watched):
        def sample(self, *_: Any) -> Any:
            raise RuntimeError("out of memory")

    async def serve() -> list[BaseException | Sample]:
        async with batching(Failing(model), active=1, waiting=2) as batcher:
            heard = await asyncio.gather(*(whole(batcher, request) for request in REQUESTS[:3]), return_exceptions=True)
            late = await asyncio.gather(whole(batcher, REQUESTS[0]), return_exceptions=True)
            with pytest.raises(BrokenError), batcher.hold(1):
                pass
            return [*heard, *late]

    assert [type(error) for error in run(serve())] == [BrokenError] * 4

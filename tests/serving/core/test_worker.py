"""Work beside the event loop is bounded, survives callers that leave, and ends when the server drains."""

from __future__ import annotations

import asyncio
import threading

import pytest

from serving.core.problems import DrainingError, FullError
from serving.core.worker import Worker


async def until(condition: object) -> None:
    for _ in range(6000):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


def test_one_works_some_wait_and_more_are_refused() -> None:
    async def story() -> None:
        worker, gate = Worker(waiting=1), threading.Event()
        held = [asyncio.ensure_future(worker.run(gate.wait)) for _ in range(2)]
        await until(lambda: worker.taken == 2)
        with pytest.raises(FullError):
            await worker.run(gate.wait)
        gate.set()
        assert await asyncio.gather(*held) == [True, True]
        await until(lambda: worker.taken == 0)
        assert await worker.run(max, 1, 2) == 2
        worker.stop()

    asyncio.run(story())


def test_a_caller_that_gives_up_leaves_the_line_and_its_work_keeps_the_place_until_it_is_done() -> None:
    async def story() -> None:
        worker, gate = Worker(waiting=1), threading.Event()
        working = asyncio.ensure_future(worker.run(gate.wait))
        await until(lambda: worker.taken == 1)
        waiting = asyncio.ensure_future(worker.run(gate.wait))
        await until(lambda: worker.taken == 2)
        waiting.cancel()
        await until(lambda: worker.taken == 1)
        working.cancel()
        await asyncio.sleep(0.05)
        assert worker.taken == 1
        gate.set()
        await until(lambda: worker.taken == 0)
        worker.stop()

    asyncio.run(story())


def test_a_draining_worker_takes_nothing_new() -> None:
    async def story() -> None:
        worker = Worker(waiting=1)
        worker.draining = True
        with pytest.raises(DrainingError):
            await worker.run(max, 1, 2)
        with pytest.raises(DrainingError):
            worker.run_here(max, 1, 2)
        worker.stop()

    asyncio.run(story())


def test_what_the_work_raises_its_caller_gets() -> None:
    async def story() -> None:
        worker = Worker(waiting=0)
        with pytest.raises(ValueError, match="no number"):
            await worker.run(_fail)
        worker.stop()

    asyncio.run(story())


def _fail() -> None:
    raise ValueError("no number")

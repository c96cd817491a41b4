"""Plays tunes beside the event loop: one at a time, a bounded number waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from serving.tunes.batching import FullError


class Player:
    """waiting: tunes that may wait while one is played. What playing costs is bounded by the tune's own length."""

    def __init__(self, waiting: int) -> None:
        self._places = 1 + waiting
        self._taken = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="player")

    async def play(self, render: Callable[[str], bytes], abc: str) -> bytes:
        """render(abc). Raises FullError, and what `render` raises. A caller that gives up leaves the line."""
        if self._taken == self._places:
            raise FullError
        self._taken += 1
        loop = asyncio.get_running_loop()
        future = self._thread.submit(render, abc)
        # The place is free when the thread is: a caller that has left may leave work behind.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self._taken -= 1

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

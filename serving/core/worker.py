"""Work beside the event loop: one thread, and a bounded number of jobs that may wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from serving.core.problems import DrainingError, FullError

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """waiting: jobs that may wait while one is done. What a job costs is bounded by its own input's size."""

    def __init__(self, waiting: int) -> None:
        self.draining = False
        self.failed = False
        self.taken = 0
        self._places = 1 + waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """job(...). Raises DrainingError, FullError and what the job raises. A caller that gives up waits no longer."""
        if self.draining:
            raise DrainingError
        if self.taken == self._places:
            raise FullError
        self.taken += 1
        loop = asyncio.get_running_loop()
        future = self._thread.submit(job, *args, **kwargs)
        # The place is free when the thread is: a caller that has left may leave work behind.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(future)

    def run_here(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """job(...), in the event loop: for what is done sooner than it is handed over. Raises DrainingError."""
        if self.draining:
            raise DrainingError
        return job(*args, **kwargs)

    def start(self) -> None:
        """The thread starts with the first job."""

    def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self.taken -= 1

"""Taught models: kept in memory only, a bounded number of them, for a bounded time."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from components.labs.transfer.runtime.head import Head
from serving.core.problems import RefusalError


class Taught(NamedTuple):
    """A head, and the names of its categories."""

    head: Head
    names: tuple[str, ...]


class TaughtModels:
    """most: models that are kept; the oldest is forgotten first. seconds: after which each is. Safe in threads."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._kept: OrderedDict[str, tuple[float, Taught]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, model: Taught) -> str:
        """Returns its name, which nobody can guess."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._forget_old()
            self._kept[name] = (self._clock() + self._seconds, model)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return name

    def find(self, name: str) -> Taught:
        """Raises RefusalError (404) where it was forgotten, or never was."""
        with self._lock:
            self._forget_old()
            if name not in self._kept:
                raise RefusalError(404, "there is no such taught model: it was forgotten, teach it again")
            return self._kept[name][1]

    def forget(self, name: str) -> None:
        """Raises RefusalError as `find` does."""
        self.find(name)
        with self._lock:
            self._kept.pop(name, None)

    def _forget_old(self) -> None:
        now = self._clock()
        for name in [name for name, (until, _) in self._kept.items() if until <= now]:
            del self._kept[name]

"""What every API works with, built once from a bundle before the first request."""

from __future__ import annotations

import json
from typing import Any, Protocol

from components.config import Limits
from serving.core.metrics import Metrics
from serving.core.request_guard import Rules
from serving.core.schemas import Info


class Work(Protocol):
    """Whatever does the work: it can be told to take nothing new, and says how much it still has."""

    draining: bool
    taken: int


class House:
    def __init__(self, limits: Limits, work: Work, metrics: Metrics, info: Info, document: dict[str, Any]) -> None:
        """document: the API's description, whose paths are the only ones there are (beside those of the page)."""
        self.limits, self.work, self.metrics, self.info = limits, work, metrics, info
        self.origin = info.model
        self.docs = json.dumps(document).encode()
        self._paths = frozenset(document["paths"]) - {"/"}
        headers = [(name.encode(), value.encode()) for name, value in info.model.headers().items()]
        self.rules = Rules(route=self._route, limits=limits, headers=headers, metrics=metrics)

    def _route(self, path: str) -> str | None:
        """A path's name in metrics and logs: its own for the API's, one for all of the page; None: no such path."""
        if path in self._paths:
            return path
        return "page" if path == "/" or path.startswith("/static/") else None

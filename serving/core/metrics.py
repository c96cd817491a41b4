"""What Prometheus reads at /metrics. Labels take their values from fixed sets: no request can add a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from components.promoted import Served

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Answers", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "http_request_seconds", "Time to the end of the answer", ["route"], registry=self.registry, buckets=SECONDS
        )
        self.clients = Counter(
            "http_clients", "Requests of each client that has an API key", ["client", "outcome"], registry=self.registry
        )

    def describe(self, served: Served) -> None:
        """Says which model answers and what was said of it, as labels of a number that is always 1."""
        labels = {
            "lab": served.lab,
            "model_digest": served.bundle.digest,
            "promoted": "false" if served.unpromoted else "true",
            "verdict": str(served.decision.verdict) if served.decision else "none",
            "audit": str(served.audit.verdict) if served.audit else "none",
        }
        Gauge("model_info", "The model that is served", list(labels), registry=self.registry).labels(**labels).set(1)

    def page(self) -> bytes:
        return generate_latest(self.registry)

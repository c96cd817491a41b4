"""What Prometheus reads at /metrics. Labels take their values from fixed sets: no request can add a series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Answers", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "http_request_seconds", "Time to the end of the answer", ["route"], registry=self.registry, buckets=SECONDS
        )

    def page(self) -> bytes:
        return generate_latest(self.registry)

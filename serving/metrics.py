"""What Prometheus reads at /metrics. Labels take their values from fixed sets: no request can add a series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.tunes.batching import Batcher

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self, batcher: Batcher) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Answers", ["route", "status"], registry=self._registry)
        self.seconds = Histogram(
            "http_request_seconds", "Time to the end of the answer", ["route"], registry=self._registry, buckets=SECONDS
        )
        self.first_character = Histogram(
            "music_first_character_seconds",
            "Time to a stream's first character",
            registry=self._registry,
            buckets=SECONDS,
        )
        self.samples = Counter(
            "music_samples", "Tunes sampled, by the check's verdict", ["valid"], registry=self._registry
        )
        for name, text, value in (
            ("music_tunes_active", "Tunes stepped together now", lambda: batcher.playing),
            ("music_places_taken", "Tunes being made or waiting", lambda: batcher.taken),
            ("music_places", "Tunes that may be made or wait", lambda: batcher.places),
            ("music_characters_sampled", "Characters since the start", lambda: batcher.characters),
        ):
            Gauge(name, text, registry=self._registry).set_function(value)

    def page(self) -> bytes:
        return generate_latest(self._registry)

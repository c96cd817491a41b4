"""What the music API counts beside what every API does."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from serving.core.metrics import SECONDS, Metrics
from serving.music.batching import TuneBatcher


class TuneMetrics(Metrics):
    def __init__(self, batcher: TuneBatcher) -> None:
        super().__init__()
        self.first_character = Histogram(
            "music_first_character_seconds",
            "Time to a stream's first character",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.samples = Counter(
            "music_samples", "Tunes sampled, by the check's verdict", ["valid"], registry=self.registry
        )
        self.redrawn = Counter(
            "music_bars_redrawn", "Bars and lines of the header that were drawn again", registry=self.registry
        )
        self.closed = Counter("music_tunes_closed", "Tunes that forced text ended", registry=self.registry)
        for name, text, value in (
            ("music_tunes_active", "Tunes stepped together now", lambda: len(batcher.batch)),
            ("music_places_taken", "Tunes being made or waiting", lambda: batcher.taken),
            ("music_places", "Tunes that may be made or wait", lambda: batcher.places),
            ("music_characters_sampled", "Characters since the start", lambda: batcher.batch.sampled),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)

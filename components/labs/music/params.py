"""The music lab's parameters: the types of its sections in params.yaml."""

from typing import Self

from pydantic import Field, model_validator

from components.config import Decay, DriftLimits, ExportParams, LabParams, Limits, Section, TrainParams


class Evaluate(Section):
    """How the exported bundle is measured."""

    samples: int = Field(ge=2, le=10_000)
    seed: int = Field(ge=0)
    redraws: int = Field(ge=1, le=10_000)
    requests: int = Field(ge=1, le=1000)
    temperature: float = Field(ge=0.01, le=10)
    max_length: int = Field(ge=100, le=10_000)
    examples: int = Field(ge=0, le=100)
    batch: int = Field(ge=1, le=1024)
    max_quantisation_cost: float = Field(ge=0)


class Serve(Limits, DriftLimits):
    """What the music API takes on, and how much at once."""

    active_tunes: int = Field(ge=1, le=1024)
    waiting_tunes: int = Field(ge=0)
    read_chars: int = Field(ge=1)
    opening_steps: int = Field(ge=1, le=64)
    redraws: int = Field(ge=1, le=10_000)
    max_count: int = Field(ge=1)
    max_length: int = Field(ge=1)
    max_start: int = Field(ge=0)
    max_title: int = Field(ge=1)
    min_temperature: float = Field(ge=0.01, le=1)
    max_temperature: float = Field(ge=1, le=10)
    max_top_k: int = Field(ge=1)
    stream_interval_ms: float = Field(ge=0)
    max_abc: int = Field(ge=1)
    max_seconds: float = Field(gt=0)
    max_chord: int = Field(ge=1)
    audio_waiting: int = Field(ge=0)
    audio_seconds: float = Field(gt=0)


class Export(ExportParams):
    """The graphs that a bundle holds."""

    steps_per_call: int = Field(ge=1, le=64)
    min_tunes: int = Field(ge=1)


class Train(TrainParams):
    """The model and its training."""

    embedding_size: int = Field(ge=1, le=4096)
    hidden_size: int = Field(ge=1, le=4096)
    layers: int = Field(ge=1, le=8)
    attention_heads: int = Field(ge=1, le=16)
    attention_size: int = Field(ge=1, le=512)
    attention_lag: int = Field(ge=2, le=256)
    attention_window: int = Field(ge=3)
    auxiliary_loss: float = Field(ge=0)
    input_dropout: float = Field(ge=0, lt=1)
    hidden_dropout: float = Field(ge=0, lt=1)
    output_dropout: float = Field(ge=0, lt=1)
    weight_drop: float = Field(ge=0, lt=1)
    transpose: bool
    header_shuffle: float = Field(ge=0, le=1)
    number_jitter: int = Field(ge=0)
    form_share: float = Field(ge=0, le=1)
    epoch_size: float = Field(ge=0.1, le=100)
    collections_share: float = Field(ge=0, le=1)
    collections_until: float = Field(gt=0, le=1)
    batch_size: int = Field(ge=1)
    length_noise: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0)
    betas: tuple[Decay, Decay]
    muon_learning_rate: float = Field(gt=0)
    muon_momentum: float = Field(ge=0, lt=1)
    warmup: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    gradient_clip: float = Field(gt=0)

    @model_validator(mode="after")
    def _something_is_seen(self) -> Self:
        if self.attention_window <= self.attention_lag:
            raise ValueError(f"attention_window is {self.attention_window}: more than attention_lag is needed")
        return self


class MusicParams(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

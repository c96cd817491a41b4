"""The music lab's parameters: the types of its sections in params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import Decay, Limits, Section


class Evaluate(Section):
    """How the exported bundle is measured."""

    samples: int = Field(
        ge=2, le=10_000, description="tunes sampled raw, and as many again with the sampler's checking"
    )
    seed: int = Field(ge=0, description="tune i is sampled with seed + i")
    attempts: int = Field(ge=1, le=100, description="samples drawn for a checked tune until one is valid ABC")
    requests: int = Field(ge=1, le=1000, description="requests for each metre, and for each type of tune")
    temperature: float = Field(
        ge=0.01, le=10, description="1 samples the distribution that bits per character measures"
    )
    max_length: int = Field(ge=100, le=10_000, description="characters; a tune that has not ended by then is not valid")
    examples: int = Field(ge=0, le=100, description="tunes written as .abc files")
    batch: int = Field(ge=1, le=1024, description="tunes read or sampled together; changes no result, only the time")
    max_quantisation_cost: float = Field(
        ge=0, description="bits per character on validation tunes that int8 may lose against float and still be served"
    )


class Prepare(Section):
    """What of the raw tunes is taken."""

    limit: int = Field(ge=0, description="tunes taken, evenly through the file and from every split; 0 takes all")


class Serve(Limits):
    """What the music API takes on, and how much at once."""

    active_tunes: int = Field(ge=1, le=1024, description="tunes stepped together in one batch")
    waiting_tunes: int = Field(ge=0, description="tunes that may wait for a slot; more are refused with 429")
    read_chars: int = Field(ge=1, description="characters of a given start read between two blocks of the others")
    attempts: int = Field(ge=1, le=100, description="samples drawn for a tune until one is valid ABC")
    max_count: int = Field(ge=1, description="tunes one request may ask for")
    max_length: int = Field(ge=1, description="characters a request may ask the model to write")
    max_start: int = Field(ge=0, description="characters of a given start")
    max_title: int = Field(ge=1, description="characters of a title")
    min_temperature: float = Field(ge=0.01, le=1, description="lowest temperature a request may ask for")
    max_temperature: float = Field(ge=1, le=10, description="highest: above it hardly a sample is valid")
    max_top_k: int = Field(ge=1, description="largest top_k a request may ask for")
    stream_interval_ms: float = Field(ge=0, description="least time between two events of a stream, after the first")
    max_abc: int = Field(ge=1, description="characters of a tune to be played")
    max_seconds: float = Field(gt=0, description="length of a tune to be played, as it sounds")
    max_chord: int = Field(ge=1, description="notes of a chord to be played: each costs as much as a tune of its own")
    audio_waiting: int = Field(ge=0, description="tunes that may wait to be played; more are refused with 429")
    audio_seconds: float = Field(gt=0, description="time playing a tune may take, waiting included; then 503")


class Export(Section):
    """The graphs that a bundle holds."""

    variants: tuple[Literal["float", "int8"], ...] = Field(
        min_length=1, description="the first is what is run unless another is asked for"
    )
    steps_per_call: int = Field(ge=1, le=64, description="characters per call of the sampler, unless a caller says so")
    parity_tolerance: float = Field(gt=0, description="how far the float graphs may be from the model")
    min_tunes: int = Field(
        ge=1, description="training tunes that a type must have in a metre so that it can be asked for"
    )


class Train(Section):
    """The model and its training."""

    seed: int = Field(ge=0, lt=2**32, description="weights, dropout, order and augmentation of every epoch")
    embedding_size: int = Field(ge=1, le=4096, description="numbers per character")
    hidden_size: int = Field(ge=1, le=4096, description="memory cells per LSTM layer")
    layers: int = Field(ge=1, le=8, description="LSTM layers, one on another")
    attention_heads: int = Field(ge=1, le=16, description="questions that each character asks of the tune so far")
    attention_size: int = Field(ge=1, le=512, description="numbers of a question, of a key and of what is brought back")
    attention_lag: int = Field(ge=2, le=256, description="characters; nothing nearer is seen. A call may write as many")
    attention_window: int = Field(ge=3, description="characters; nothing as far or further is seen")
    auxiliary_loss: float = Field(ge=0, description="weight of the loss of what the LSTM predicts without attention")
    input_dropout: float = Field(ge=0, lt=1, description="share of the embedding dropped")
    hidden_dropout: float = Field(ge=0, lt=1, description="share of the values dropped between two LSTM layers")
    output_dropout: float = Field(ge=0, lt=1, description="share of the last LSTM layer's values dropped")
    weight_drop: float = Field(ge=0, lt=1, description="share of the recurrent weights dropped")
    transpose: bool = Field(description="move tunes to the keys that other tunes of their mode have")
    header_shuffle: float = Field(ge=0, le=1, description="probability of another tune's number and title")
    number_jitter: int = Field(ge=0, description="a tune's numbers move up or down by as much as this")
    batch_size: int = Field(ge=1, description="whole tunes a step")
    length_noise: float = Field(ge=0, lt=1, description="how far lengths may differ in a batch: more is more random")
    max_epochs: int = Field(ge=1, description="passes over the tunes; the learning rate ends at zero with them")
    patience: int = Field(ge=1, description="epochs without a better validation figure before stopping")
    learning_rate: float = Field(gt=0, description="the highest, of AdamW: all but the LSTM's matrices")
    betas: tuple[Decay, Decay] = Field(description="how much AdamW keeps of its mean gradient, and of its square")
    muon_learning_rate: float = Field(gt=0, description="the highest, of Muon: the LSTM's matrices")
    muon_momentum: float = Field(ge=0, lt=1, description="share of the mean gradient that Muon keeps a step")
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(ge=0, description="of the LSTM's, the attention's and the decoder's matrices")
    gradient_clip: float = Field(gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        description="auto: bf16 where the hardware multiplies it fast, else 32-bit floats"
    )
    log_every_n_steps: int = Field(ge=1, description="steps between two points of the training curve")

    @model_validator(mode="after")
    def _something_is_seen(self) -> Self:
        if self.attention_window <= self.attention_lag:
            raise ValueError(f"attention_window is {self.attention_window}: more than attention_lag is needed")
        return self

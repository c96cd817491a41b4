"""The lab's block in params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.config import ExportParams, LabParams, Limits, Section, TrainParams
from components.datasets.styles.reader import KINDS, PLAIN

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Sampling(Section):
    """How the next token is chosen."""

    temperature: float = Field(ge=0)
    """0 takes the likeliest token."""
    top_k: int = Field(ge=0)
    """Only so many likeliest tokens are chosen from; 0 for all."""
    top_p: float = Field(gt=0, le=1)
    """Only the likeliest tokens that together hold this share are chosen from."""
    repetition_penalty: float = Field(ge=1)
    """What the logit of a token that is in the answer already is divided (where positive) or multiplied by."""
    max_tokens: int = Field(ge=1)


class Train(TrainParams):
    """The adapter and what it learns from."""

    base: str
    """A folder that holds another base than the lab's own (a Llama with ChatML's marks); empty for the lab's own."""
    instructions: dict[str, str]
    """The system message that asks for each kind of answer."""
    rank: int = Field(ge=1, le=256)
    alpha: Positive
    """An adapter's output counts alpha / rank."""
    optimizer: Literal["adamw", "lion"]
    learning_rate: Positive
    """The highest: it rises linearly over `warmup` of the steps and falls along half a cosine."""
    warmup: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0)
    batch_size: int = Field(ge=1)
    steps: int = Field(ge=1)
    """Steps of an epoch."""
    mix: dict[str, Share]
    """Share of the training answers that are of each kind."""
    unpaired: Share
    """Share of a style's answers that are lines whose question is not known."""
    reordered: Share
    """Share of Yoda's answers that are plain ones, their verb moved to the end by a rule."""
    unpaired_request: str
    """What the user says before such a line."""
    max_tokens: int = Field(ge=16)
    """Longest conversation, in tokens; longer ones are left out."""
    validation: int = Field(ge=1)
    """Most validation conversations of each kind that an epoch is judged on."""

    @model_validator(mode="after")
    def _kinds(self) -> Self:
        for name, found in (("instructions", self.instructions.keys()), ("mix", self.mix.keys())):
            if set(found) != set(KINDS):
                raise ValueError(f"{name} must name the kinds {', '.join(KINDS)}, each once")
        if abs(sum(self.mix.values()) - 1) > 1e-6:
            raise ValueError("the shares of mix must add up to 1")
        if self.unpaired + self.reordered > 1:
            raise ValueError("unpaired and reordered are shares of the same answers: together at most 1")
        if self.mix[PLAIN] == 1:
            raise ValueError("mix must have answers of a style")
        return self


class Export(ExportParams):
    """The graph that a bundle holds."""

    context: int = Field(ge=64)
    """Most tokens of a conversation, its answer included."""
    adapter_scale: float = Field(gt=0, le=4)
    """What the adapters' outputs are multiplied by while the system message is read and an answer written, beyond alpha
    / rank: more is more in the style, and less exact."""
    question_scale: float = Field(ge=0, le=4)
    """As `adapter_scale`, while what stands between the system message and the answer is read: less keeps more of what
    the base knows."""


class Judge(Section):
    """What counts as an answer in the style that is not degenerate."""

    min_distinct: Share
    """Least share of different runs of three words."""
    max_run: int = Field(ge=2)
    """Most equal words in a row."""
    min_words: int = Field(ge=1)
    fluency_percentile: Annotated[float, Field(gt=0, le=100)]
    """Percentile of held-out styled answers' bits per byte under the base; beyond it an answer is word salad."""


class Evaluate(Section):
    """How the exported bundle is measured."""

    seed: int = Field(ge=0)
    style: Literal["yoda", "leprechaun"]
    """The style that the headline metrics are of."""
    questions: int = Field(ge=1)
    """Test questions that are answered in the style."""
    other_questions: int = Field(ge=1)
    """Those of them that are also answered in other styles, plainly and by the base."""
    facts: int = Field(ge=1)
    """Most factual questions that are asked; the list has 442."""
    max_quantisation_cost: float = Field(ge=0)
    """Most bits per byte of validation answers in the style that int8 may lose against float to be served."""
    likelihood: int = Field(ge=1)
    """Most held-out answers of each kind whose bits per byte are measured."""
    slots: int = Field(ge=1)
    """Answers that are written together."""
    sampling: Sampling
    judge: Judge
    conversations: int = Field(ge=1)
    """Conversations in the report: the first test questions by their hash, not chosen."""


class Serve(Limits):
    """What bounds the chat API."""

    slots: int = Field(ge=1, le=64)
    """Answers that are written together."""
    waiting: int = Field(ge=0)
    """Answers that may wait for a slot; more are refused with 429."""
    prefill_tokens: int = Field(ge=1)
    """Tokens of a prompt that are read between two tokens of the answers that are being written."""
    max_messages: int = Field(ge=1)
    max_characters: int = Field(ge=1)
    """Most characters of all messages together."""
    temperature: float = Field(ge=0, le=5)
    top_k: int = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    repetition_penalty: float = Field(ge=1, le=5)
    max_tokens: int = Field(ge=1)
    """Also the most that a request may ask for."""

    @property
    def sampling(self) -> Sampling:
        """What a request that does not say otherwise gets."""
        return Sampling(**self.model_dump(include=set(Sampling.model_fields)))


class Params(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

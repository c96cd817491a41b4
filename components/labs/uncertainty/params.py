"""The lab's block in params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.config import LabParams, Limits, Section, TrainParams, Width

SET_METRICS = ("rmse", "nll", "crps", "calibration_error", "coverage_90", "sure_coverage_90")
"""What is measured on each set; a metric's name is that of the set and one of these."""

Method = Literal["evidential", "gaussian", "dropout"]
Level = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Recipe(Section):
    """How one set's networks are built and trained."""

    hidden_sizes: tuple[Width, ...] = Field(min_length=1)
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    """Rows that each network sees in a step."""
    learning_rate: Positive
    """The highest: it rises linearly over `warmup` of the steps and falls along half a cosine."""
    repeats: int = Field(ge=1)
    """Members of an ensemble that leave out the same row; two or more show what the size of an ensemble changes."""
    weight_decay: float = Field(ge=0)
    """Decoupled from the gradient (Loshchilov and Hutter 2019), on weights and not on biases."""


class Toy(Section):
    """The cubic of the evidential paper, y = x^3 + noise, learned many times over: what each estimate answers to."""

    recipe: Recipe
    noise: Positive
    """Standard deviation of the true noise; the paper's is 3."""
    inside: Positive
    """Training rows lie between -inside and inside; the paper's is 4."""
    rows: tuple[Annotated[int, Field(ge=10)], ...] = Field(min_length=1)
    """Training rows of each fit of the sweep over N."""
    penalties: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """Weights of the evidence regulariser in the sweep over lambda."""
    standard_rows: int = Field(ge=10)
    """Training rows of the sweep over lambda."""
    standard_penalty: float = Field(ge=0)
    """Weight of the evidence regulariser in the sweep over N; the paper's is .01."""
    seeds: int = Field(ge=2)
    """Networks of each fit: judged one by one where they are evidential, as an ensemble where they are Gaussian."""


class Train(TrainParams):
    """All splits of a set, and the members of each split's ensemble, train as one stack of networks."""

    method: Method
    folds: int = Field(ge=2)
    """Parts of a split's training rows. Each member leaves one out; calibration is fitted on those."""
    penalty: float = Field(ge=0)
    """evidential: weight of the evidence regulariser (Amini et al. 2020, eq. 9)."""
    min_alpha: float = Field(ge=1)
    """evidential: least alpha. Above 1.5 the Student-t has more than three degrees of freedom."""
    scale_weight: float = Field(ge=0, le=2)
    """Power of the predicted scale that a row's loss is weighted with (beta-NLL, Seitzer et al. 2022); 0: plain."""
    dropout_rate: float = Field(ge=0, lt=1)
    dropout_masks: int = Field(ge=1)
    """dropout: masks drawn once at export; a prediction is the mixture over them."""
    warmup: float = Field(gt=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    clip: Positive
    """Largest norm of one network's gradient."""
    validation_rows: int = Field(ge=1)
    """Left-out rows of each network that an epoch is judged on, at most."""
    sets: dict[str, Recipe] = Field(min_length=1)
    """By set. One that the prepared data lacks is passed over; one that has no recipe is an error."""
    toy: Toy


class Export(Section):
    """The graphs that a bundle holds."""

    parity_tolerance: Positive
    """How far a graph's outputs may be from the model's, as a share of the largest."""
    intervals: tuple[Level, ...] = Field(min_length=1)
    """Coverages of the intervals that are served and measured."""
    served_split: int = Field(ge=0)
    """Whose networks the API uses: their test rows are held out from them alone."""
    abstain_percentile: Annotated[float, Field(gt=0, le=100)]
    """Percentile of the member spread on left-out rows beyond which the API abstains."""


class Evaluate(Section):
    """How the exported bundle is measured."""

    batch: int = Field(ge=1)
    """Rows predicted together; changes no result, only the time."""
    level_step: Annotated[float, Field(gt=0, lt=0.5)]
    """Distance of the quantile levels that calibration error and CRPS are measured at."""
    confidence: Level
    """Coverage of the intervals around differences."""
    toy_range: Positive
    """The cubic is judged between -toy_range and toy_range; the paper's is 6."""
    toy_points: int = Field(ge=10)


class Serve(Limits):
    """What bounds a request, and how many may wait."""

    waiting: int = Field(ge=0)
    max_rows: int = Field(ge=1)


class Params(LabParams):
    train: Train
    export: Export
    evaluate: Evaluate
    serve: Serve

"""The scratch lab's parameters: the type of its own section in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import Width
from components.families.classification.params import Batches


class Train(Batches):
    """The network and its training."""

    hidden_sizes: tuple[Width, ...] = Field(description="numbers in each layer between the picture and the ten digits")
    activation: Literal["relu", "sigmoid"] = Field(description="what follows every layer but the last")
    max_epochs: int = Field(ge=1, description="passes over the digits; the learning rate ends at zero with them")
    patience: int = Field(ge=1, description="epochs without a better validation figure before stopping")
    learning_rate: float = Field(gt=0, description="the highest")
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which it rises")
    momentum: float = Field(ge=0, lt=1, description="share of the last step that is kept")
    weight_decay: float = Field(ge=0, description="of the matrices")
    precision: Literal["32-true"] = Field(description="the derivatives are written for one type of number")
    gradient_clip: None = Field(None, description="Lightning clips only what its own optimisation makes")
    log_every_n_steps: int = Field(ge=1, description="steps between two points of the training curve")

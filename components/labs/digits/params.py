"""The digits lab's parameters: the type of its own section in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import Limits, Width
from components.families.classification.params import Batches


class Train(Batches):
    """The network and its training."""

    model: Literal["fully_connected", "convolutional"] = Field(description="which of the two networks it is")
    hidden_sizes: tuple[Width, ...] = Field(description="fully connected: numbers in each layer before the ten digits")
    channels: tuple[Width, ...] = Field(
        min_length=1,
        max_length=4,
        description="convolutional: of each convolution; the first is 7 x 7 with stride 3, the others are 3 x 3",
    )
    dense_size: int = Field(ge=1, description="convolutional: numbers between the last convolution and the ten digits")
    dropout: float = Field(ge=0, lt=1, description="share of the values dropped before the last layer")
    label_smoothing: float = Field(ge=0, lt=1, description="share of a label that is spread over all digits")
    max_epochs: int = Field(ge=1, description="passes over the digits; the learning rate ends at zero with them")
    patience: int = Field(ge=1, description="epochs without a better validation figure before stopping")
    learning_rate: float = Field(gt=0, description="the highest, of gradient descent with Nesterov momentum")
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which it rises")
    momentum: float = Field(gt=0, lt=1, description="share of the last step that is kept")
    weight_decay: float = Field(ge=0, description="of matrices and filters")
    gradient_clip: float = Field(gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        description="auto: bf16 where the hardware multiplies it fast, else 32-bit floats"
    )
    log_every_n_steps: int = Field(ge=1, description="steps between two points of the training curve")


class Serve(Limits):
    """What the digits API takes on, and how much at once. It serves bundles of `scratch` too."""

    max_pixels: int = Field(ge=784, description="of a picture; one with more is refused before it is decoded")
    waiting: int = Field(ge=0, description="pictures that may wait while one is read; beyond it 429")
    paper: float = Field(gt=0, lt=1, description="marks fainter than this share of the darkest are paper")

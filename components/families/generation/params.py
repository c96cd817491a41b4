"""Parameters that every lab of generated pictures has: the types of their sections in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import Decay, Limits, Section, Width


class Train(Section):
    """The model and its training."""

    seed: int = Field(ge=0, lt=2**32, description="weights, order, noise, and the latents whose pictures are followed")
    model: Literal["vae", "gan"] = Field(description="a variational autoencoder, or two networks against each other")
    latent_dim: int = Field(ge=1, le=1024, description="numbers that a picture is made from")
    widths: tuple[Width, ...] = Field(
        min_length=1,
        max_length=5,
        description="channels, the coarsest map first; the side doubles with each",
    )
    likelihood: Literal["bernoulli", "logistic"] = Field(
        description="vae: of pictures binarised at random, or of bytes, each a logistic distribution cut into 256 steps"
    )
    kl_warmup: float = Field(ge=0, lt=1, description="vae: share of the steps in which the divergence comes to count")
    discriminator_widths: tuple[Width, ...] = Field(
        min_length=1, max_length=5, description="gan: channels of the discriminator, the coarsest map first"
    )
    discriminator_rate: float = Field(gt=0, description="gan: highest learning rate of the discriminator")
    discriminator_shift: float = Field(
        ge=0, le=0.5, description="gan: share of the side by which the discriminator's pictures move, at most"
    )
    averaged_steps: int = Field(
        ge=1, description="gan: steps over which the generator's weights are averaged, fewer at first"
    )
    flip: bool = Field(description="training pictures are mirrored half of the time")
    batch_size: int = Field(ge=2, description="pictures a step")
    max_epochs: int = Field(ge=1, description="passes over the pictures; the learning rate ends at zero with them")
    patience: int = Field(ge=1, description="epochs without a better validation figure before stopping")
    learning_rate: float = Field(gt=0, description="the highest, of Adam")
    betas: tuple[Decay, Decay] = Field(description="how much Adam keeps of its mean gradient, and of its square")
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which the learning rate rises")
    gradient_norm: float = Field(gt=0, description="longer gradients of a network are shortened to this")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        description="auto: bf16 where the hardware multiplies it fast, else 32-bit floats"
    )
    log_every_n_steps: int = Field(ge=1, description="steps between two points of the training curve")

    @property
    def gradient_clip(self) -> None:
        """Lightning clips only what its own optimisation makes; these models clip by `gradient_norm` themselves."""


class Export(Section):
    """The graphs that a bundle holds."""

    variants: tuple[Literal["float", "int8"], ...] = Field(
        min_length=1, description="the first is what is run unless another is asked for"
    )
    parity_tolerance: float = Field(gt=0, description="how far the float graphs may be from the model: 1 is full ink")
    calibration: int = Field(ge=16, le=10_000, description="pictures made to set the scales of int8")
    prior_components: int = Field(
        ge=0,
        le=1000,
        description="vae: of the mixture fitted to latents of training pictures; 0: the model's own prior",
    )


class Evaluate(Section):
    """How the exported bundle is measured."""

    seed: int = Field(ge=0, lt=2**32, description="of the pictures made and of every other draw")
    batch: int = Field(ge=1, le=10_000, description="pictures made or read together; changes no figure, only the time")
    samples: int = Field(ge=50, description="pictures made, and real ones compared with them, at most")
    manifold_samples: int = Field(ge=10, description="of those, how many precision and recall look at")
    neighbours: int = Field(ge=1, le=50, description="the k of precision and recall")
    likelihood_pictures: int = Field(ge=1, description="vae: held-out pictures of which the bounds are measured")
    importance_samples: int = Field(ge=1, le=5000, description="vae: draws for each of them")
    copy_quantile: float = Field(
        gt=0, lt=1, description="a sample is a near copy when this share of held-out pictures is as near to training"
    )
    shown: int = Field(ge=2, le=20, description="pictures along a side of the sheet, and in a row of the others")
    max_quantisation_cost: float = Field(
        ge=0, description="relative Fréchet distance that int8 may lose against float and still be served"
    )


class Serve(Limits):
    """What the images API takes on, and how much at once."""

    max_pictures: int = Field(ge=1, description="that one request may ask for")
    waiting: int = Field(ge=0, description="requests that may wait while one is worked on; beyond it 429")

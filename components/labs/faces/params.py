"""The face lab's parameters: the types of its sections in params.yaml."""

from typing import Literal

from pydantic import Field

from components.config import Limits, Section, Width


class Detection(Section):
    """How faces are found in a photograph; evaluation measures with it and serving uses the same."""

    min_face: int = Field(ge=16, description="side in pixels of the smallest face looked for")
    step: float = Field(gt=1.05, le=2, description="ratio of two scales looked at")
    margin: float = Field(ge=0, description="log-odds by which a place may fall below the threshold and be looked at")
    candidates: int = Field(ge=1, le=10_000, description="places of a photograph that are looked at closely, at most")
    overlap: float = Field(gt=0, lt=1, description="share of the smaller box within another that makes them one face")
    max_pixels: int = Field(ge=4096, description="pixels of the largest scale; larger photographs are reduced to it")


class Evaluate(Section):
    """How the exported bundle is measured."""

    false_positive_rate: float = Field(
        gt=0, lt=1, description="share of validation negatives that the threshold lets pass; it is then frozen"
    )
    max_quantisation_cost: float = Field(
        ge=0, le=1, description="recall on validation faces that int8 may lose against float and still be served"
    )
    detection: Detection
    scenes: int = Field(ge=0, le=1000, description="scenes composed to measure detection; 0 measures none")
    seed: int = Field(ge=0, description="what is pasted where in the scenes")
    false_boxes: float = Field(ge=0, description="a validation scene; the threshold for photographs lets these pass")
    examples: int = Field(ge=0, le=1000, description="worst misses and worst false positives shown as pictures")


class Export(Section):
    """The graphs that a bundle holds."""

    variants: tuple[Literal["float", "int8"], ...] = Field(
        min_length=1, description="the first is what is run unless another is asked for"
    )
    calibration: int = Field(ge=16, le=10_000, description="training images that give int8 its ranges")
    parity_tolerance: float = Field(gt=0, description="how far the float graph's logits may be from the model's")
    pictures: int = Field(ge=1, le=64, description="faces in each of the pictures that a dbvae is judged by")


class Serve(Limits):
    """What the faces API takes on, and how much at once."""

    max_pixels: int = Field(ge=4096, description="of a picture; one with more is refused before it is decoded")
    quick_pixels: int = Field(ge=0, description="of a crop; one with no more is looked at without waiting in line")
    max_files: int = Field(ge=1, description="pictures one request may hold")
    waiting: int = Field(ge=0, description="pictures that may wait while one is looked at; beyond it 429")


class Train(Section):
    """The model and its training."""

    seed: int = Field(ge=0, lt=2**32, description="weights, order and augmentation of every epoch")
    model: Literal["standard", "dbvae"] = Field(description="dbvae also learns how faces differ, and debiases")
    widths: tuple[Width, Width, Width] = Field(description="channels of the maps of a quarter, an eighth, a sixteenth")
    hidden_size: int = Field(ge=1, le=4096, description="numbers that describe a picture, from which all outputs come")
    latent_dim: int = Field(ge=1, le=1024, description="dbvae: latent features")
    kl_weight: float = Field(ge=0, description="dbvae: weight of the latents' divergence from the prior")
    reconstruction_weight: float = Field(ge=0, description="dbvae: weight of mean |x - x'|")
    resampling: Literal["none", "max", "product"] = Field(
        description="dbvae: how rarity is combined over latent features; the course has max, the paper product"
    )
    smoothing: float = Field(gt=0, description="dbvae: the paper's alpha; larger moves towards uniform sampling")
    bins: int = Field(ge=2, le=1000, description="dbvae: of each latent feature's histogram")
    histogram_faces: int = Field(ge=2, description="dbvae: faces whose latents are held at once to make histograms")
    shift: float = Field(ge=0, le=0.5, description="share of the picture's side that it moves by, at most")
    zoom: float = Field(ge=1, le=2, description="scale changes between 1/zoom and zoom")
    rotation: float = Field(ge=0, le=180, description="degrees, at most, either way")
    colour: float = Field(ge=0, lt=1, description="share by which brightness, contrast and each colour change, at most")
    grey: float = Field(ge=0, le=1, description="share of pictures that lose their colour")
    blur: float = Field(ge=0, le=1, description="share of pictures shown at a lower resolution")
    noise: float = Field(ge=0, le=1, description="standard deviation of the noise on a quarter of pictures, of 0 to 1")
    negatives_per_face: float = Field(gt=0, description="negatives an epoch shows for every face")
    hard_share: float = Field(ge=0, le=1, description="share of them that is from photographs marked hard")
    skew_group: str = Field(description="faces with this perceived race or gender are thinned out; '' for none")
    skew_keep: float = Field(ge=0, le=1, description="share of that group's training faces that is kept")
    flipped_labels: float = Field(ge=0, lt=0.5, description="share of training labels made wrong, to try the audit")
    batch_size: int = Field(ge=2, description="pictures a step")
    max_epochs: int = Field(ge=1, description="passes over the faces; the learning rate ends at zero with them")
    patience: int = Field(ge=1, description="epochs without a better validation figure before stopping")
    learning_rate: float = Field(gt=0, description="the highest")
    warmup: float = Field(gt=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(ge=0, description="of the matrices and kernels")
    gradient_clip: float = Field(gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        description="auto: bf16 where the hardware multiplies it fast, else 32-bit floats"
    )
    log_every_n_steps: int = Field(ge=1, description="steps between two points of the training curve")

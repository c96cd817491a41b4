"""Parameters of the lab digit_generation: the types of its sections in params.yaml."""

from pydantic import Field

from components.families.generation import params


class Evaluate(params.Evaluate):
    """How the exported bundle is measured, also by what the lab digits reads."""

    certainty: float = Field(gt=0, lt=1)


class DigitGenerationParams(params.GenerationParams):
    evaluate: Evaluate

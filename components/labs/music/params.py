"""The music lab's parameters: the types of its sections in params.yaml."""

from pydantic import Field

from components.params import Section


class Evaluate(Section):
    """How the exported bundle is measured."""

    samples: int = Field(ge=2, le=10_000, description="tunes sampled raw, and as many again with the sampler's checking")
    seed: int = Field(ge=0, description="tune i is sampled with seed + i")
    temperature: float = Field(gt=0, le=10, description="1 samples the distribution that bits per character measures")
    max_length: int = Field(ge=100, le=10_000, description="characters; a tune that has not ended by then is not valid")
    examples: int = Field(ge=0, le=100, description="tunes written as .abc files")
    batch: int = Field(ge=1, le=1024, description="tunes read or sampled together; changes no result, only the time")
    max_quantisation_cost: float = Field(
        ge=0, description="bits per character on validation tunes that int8 may lose against float and still be served"
    )


class Prepare(Section):
    """What of the raw tunes is taken."""

    limit: int = Field(ge=0, description="tunes taken, evenly through the file and from every split; 0 takes all")

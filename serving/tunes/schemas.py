"""What the API takes and gives, as types: they check requests, and OpenAPI is made of them."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Literal

from annotated_types import Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from components.labs.music.params import Serve
from components.labs.music.runtime import SEEDS
from serving.schemas import Origin

Key = Annotated[str, Field(pattern=r"^[A-G][#b]? (Major|Minor|Dorian|Mixolydian|Phrygian|Lydian|Locrian)$")]
Metre = Literal["C", "C|", "2/4", "3/4", "4/4", "6/8", "9/8", "12/8"]
TuneType = Literal[
    "reel", "jig", "hornpipe", "polka", "slide", "setdance", "ocarolan", "slipjig", "waltz", "miscellaneous"
]

EXAMPLE_TUNE = """X:1
T:The Open Window
Z: id:dc-reel-1
M:C
L:1/8
K:D Major
A|:dfaf gfed|cecA BAFA|dfaf gfec|1 d2dc d3A:|2 d2dc d2||"""


class Request(BaseModel):
    """Strict: no unknown fields, and nothing is converted, so that a mistake is an error and not another tune."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StreamRequest(Request):
    """How a tune is to be. Everything may be left out."""

    seed: int | None = Field(
        None, ge=0, lt=SEEDS, description="the same seed and model give the same tune; drawn when left out"
    )
    temperature: float = Field(
        1.0,
        ge=0.1,
        le=2.0,
        allow_inf_nan=False,
        description="above 1 bolder, below 1 tamer; 0 is refused: top_k=1 always takes the likeliest character",
    )
    top_k: int = Field(0, ge=0, le=1000, description="choose among this many likeliest characters; 0: among all")
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, allow_inf_nan=False, description="choose among the likeliest holding this share"
    )
    key: Key | None = Field(None, description="such as D Major or E Dorian", examples=["D Major"])
    metre: Metre | None = Field(None, examples=["6/8"])
    type: TuneType | None = Field(None, description="what kind of tune", examples=["jig"])
    title: str | None = Field(None, min_length=1, max_length=100, pattern=r"^[^\n]*$", examples=["The Open Window"])
    start: str | None = Field(
        None,
        min_length=1,
        description=(
            "ABC to go on from. One that begins with a header (X:1) is the beginning of the whole tune, and then key, "
            "metre, type and title are its own; any other is the beginning of the music."
        ),
        examples=["dfaf gfed|"],
    )
    max_length: int = Field(1000, ge=1, description="characters the model may write; a tune cut off here is not valid")

    @field_validator("start")
    @classmethod
    def _one_beginning(cls, start: str | None, info: ValidationInfo) -> str | None:
        if start is None:
            return None
        start = start.replace("\r\n", "\n")
        if "\n\n" in f"\n{start}":
            raise PydanticCustomError("empty_line", "an empty line ends a tune: leave it out")
        given = [name for name in ("key", "metre", "type", "title") if info.data.get(name) is not None]
        if given and begins_with_header(start):
            raise PydanticCustomError(
                "two_headers", "it has headers of its own: leave out {given}", {"given": given[0]}
            )
        return start


class GenerateRequest(StreamRequest):
    count: int = Field(1, ge=1, description="how many tunes; each has a seed of its own derived from the first")
    valid_only: bool = Field(
        True, description="draw again until a tune is valid ABC; false gives the first sample, valid or not"
    )


class AbcRequest(Request):
    abc: str = Field(min_length=1, description="one tune", examples=[EXAMPLE_TUNE])


class TuneAnswer(BaseModel):
    abc: str = Field(examples=[EXAMPLE_TUNE])
    title: str = Field(examples=["The Open Window"])
    key: str = Field(examples=["D Major"])
    metre: str = Field(examples=["C"])
    type: str = Field(examples=["reel"])
    length: int = Field(description="characters of abc", examples=[130])
    valid: bool = Field(description="whether it is ABC whose headers, notes and bars add up")
    problems: list[str] = Field(description="why it is not valid")
    seed: int = Field(description="with the same settings, makes this very tune")
    attempts: int = Field(description="samples it took", examples=[1])


class GenerateAnswer(BaseModel):
    tunes: list[TuneAnswer]
    seed: int = Field(description="of the request: given, or drawn by the server")
    model: Origin


class TextEvent(BaseModel):
    """Of /stream: characters that were just written."""

    text: str


class DoneEvent(BaseModel):
    """Of /stream: the last event."""

    tune: TuneAnswer
    model: Origin


def begins_with_header(start: str) -> bool:
    """Whether it begins a tune, rather than its music: a note before a repeat sign (`A:|`) is no header."""
    return start[1:2] == ":" and start[0].isalpha() and start[2:3] not in ("|", ":")


def requests(limits: Serve) -> dict[str, type[Request]]:
    """The requests, by name, with this server's limits in them, so that they are checked and documented alike."""
    return {
        "GenerateRequest": _bounded(
            GenerateRequest, start=limits.max_start, max_length=limits.max_length, count=limits.max_count
        ),
        "StreamRequest": _bounded(StreamRequest, start=limits.max_start, max_length=limits.max_length),
        "AbcRequest": _bounded(AbcRequest, abc=limits.max_abc),
    }


def _bounded(model: type[Request], **most: int) -> type[Request]:
    """The model with a greatest value or length for some of its fields."""
    fields = {}
    for name, limit in most.items():
        info = copy(model.model_fields[name])
        bound = Le(limit) if info.annotation is int else MaxLen(limit)
        info.metadata = [*info.metadata, bound]
        if info.annotation is int:
            info.default = min(info.default, limit)
        fields[name] = (info.annotation, info)
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)  # type: ignore[call-overload,no-any-return]

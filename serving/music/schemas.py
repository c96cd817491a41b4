"""What the API takes and gives, as types: they check requests, and OpenAPI is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from types import MappingProxyType
from typing import Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from components.datasets.music.music_theory import key_signature
from components.datasets.music.respell import refusals
from components.labs.music.params import Serve
from components.labs.music.runtime.conditioning import Options, begins_with_header
from components.labs.music.runtime.prompt import faults
from components.labs.music.runtime.request import RANGES, SEEDS
from serving.core.schemas import Origin

KEY = r"^[A-G][#b]? (Major|Minor|Dorian|Mixolydian|Phrygian|Lydian|Locrian)$"

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


class KeyAndMetre(Request):
    key: str | None = Field(
        None,
        pattern=KEY,
        description="such as D Major or E Dorian, of up to seven sharps or flats",
        examples=["D Major"],
    )
    metre: str | None = Field(None, description="C and 4/4 are one metre", examples=["6/8"])

    @field_validator("key")
    @classmethod
    def _at_most_seven(cls, key: str | None) -> str | None:
        if key is not None and key_signature(key) is None:
            raise PydanticCustomError("key", "there is no {key}: it has more than seven sharps or flats", {"key": key})
        return key


class MidiQuery(KeyAndMetre):
    """What is known of a MIDI file; what is left out is taken from the file or estimated."""


class StreamRequest(KeyAndMetre):
    """How a tune is to be. Everything may be left out."""

    seed: int | None = Field(
        None, ge=0, lt=SEEDS, description="the same seed and model give the same tune; drawn when left out"
    )
    temperature: float = Field(
        1.0,
        allow_inf_nan=False,
        description="above 1 bolder, below 1 tamer; 0 is refused: top_k=1 always takes the likeliest character",
    )
    top_k: int = Field(0, ge=0, description="choose among this many likeliest characters; 0: among all")
    top_p: float = Field(
        1.0,
        ge=RANGES["top_p"][0],
        le=RANGES["top_p"][1],
        allow_inf_nan=False,
        description="choose among the likeliest holding this share",
    )
    type: str | None = Field(
        None,
        description="what kind of tune; with a metre, one that goes with it (/info, types_by_metre), which is drawn "
        "where it is left out",
        examples=["jig"],
    )
    title: str | None = Field(None, min_length=1, pattern=r"^[^\n]*[^\s][^\n]*$", examples=["The Open Window"])
    start: str | None = Field(
        None,
        min_length=1,
        description=(
            "ABC to go on from. One that begins with a header (X:1) is the beginning of the whole tune, and then key, "
            "metre, type and title are its own; any other is the beginning of the music. The tune begins with it to "
            "the letter; the model reads it in the spelling it knows (K:Em as K:E Minor, without comments)."
        ),
        examples=["dfaf gfed|"],
    )
    parts: int | None = Field(
        None,
        ge=1,
        description="how many parts the tune has; of what is left out of parts, bars and repeats, one is drawn that "
        "training tunes of the metre and type have",
        examples=[2],
    )
    bars: int | None = Field(None, ge=1, description="bars of each part; a pickup and the short last bar are one")
    repeats: bool | None = Field(None, description="true: each part is played twice (AABB); false: once (AB)")
    max_length: int = Field(
        1000,
        ge=1,
        description="characters of the tune that the model may write; forced text closes a longer tune after a bar",
    )
    valid_only: bool = Field(
        True, description="draw a wrong bar again, so that the tune is valid ABC; false takes it as the model writes it"
    )

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
        if found := faults(start) if begins_with_header(start) else refusals(start):
            raise PydanticCustomError("header", "no tune that begins with it is valid: {fault}", {"fault": found[0]})
        return start


class GenerateRequest(StreamRequest):
    count: int = Field(1, ge=1, description="how many tunes; each has a seed of its own derived from the first")


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
    redrawn: int = Field(description="how often a bar or a line of the header was drawn again", examples=[1])
    closed: bool = Field(description="forced text ended it, not the model")


class GenerateAnswer(BaseModel):
    tunes: list[TuneAnswer]
    seed: int = Field(description="of the request: given, or drawn by the server")
    model: Origin


class MidiAnswer(BaseModel):
    """The melody of a MIDI file. `start`, `key` and `metre` go into a request for a tune that goes on from it."""

    abc: str = Field(description="a tune with all notes of the file, which /tunes/wav plays", examples=[EXAMPLE_TUNE])
    start: str = Field(description="its music, to go on from", examples=["dfaf gfed|cecA BAFA|"])
    key: str = Field(examples=["D Major"])
    metre: str = Field(examples=["C"])
    unit: str = Field(description="what a note without a length lasts", examples=["1/8"])
    notes: int = Field(description="of the file that were written down", examples=[16])
    deviation: float = Field(
        description="how far the notes were from where they are written: root mean square, in quarter notes"
    )
    assumed: list[str] = Field(
        description="what was not given, in words", examples=[["Metre C: the file's time signature."]]
    )
    model: Origin


class TextEvent(BaseModel):
    """An event of /stream: characters that were just written."""

    text: str


class DoneEvent(BaseModel):
    """The last event of /stream."""

    tune: TuneAnswer
    model: Origin


def requests(limits: Serve, options: Options) -> dict[str, type[Request]]:
    """The requests, by name, with this server's limits and the model's options: checked and documented alike."""
    bounds = {
        "temperature": (Ge(limits.min_temperature), Le(limits.max_temperature)),
        "top_k": (Le(limits.max_top_k),),
        "title": (MaxLen(limits.max_title),),
        "start": (MaxLen(limits.max_start),),
        "max_length": (Le(limits.max_length),),
    }
    choices = {"metre": options.metres, "type": options.types}
    return {
        "GenerateRequest": _bounded(GenerateRequest, bounds | {"count": (Le(limits.max_count),)}, choices),
        "StreamRequest": _bounded(StreamRequest, bounds, choices),
        "MidiQuery": _bounded(MidiQuery, {}, {"metre": options.metres}),
        "AbcRequest": _bounded(AbcRequest, {"abc": (MaxLen(limits.max_abc),)}),
    }


def _bounded(
    model: type[Request],
    bounds: Mapping[str, tuple[Ge | Le | MaxLen, ...]],
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> type[Request]:
    """The model with bounds for the values or lengths of some of its fields, and with all that others may be."""
    fields: dict[str, Any] = {}
    for name, added in bounds.items():
        info = copy(model.model_fields[name])
        info.metadata = [*info.metadata, *added]
        if info.annotation is int:
            info.default = min([info.default, *(bound.le for bound in added if isinstance(bound, Le))])
        fields[name] = (info.annotation, info)
    for name, values in choices.items():
        fields[name] = (Literal[values] | None, copy(model.model_fields[name]))
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)

"""The music API's description."""

from __future__ import annotations

from serving.core import drift_route, openapi
from serving.core.drift import DriftAnswer
from serving.core.openapi import BINARY, Json, json_of, operation, query_parameters, reference, work_problems
from serving.music.schemas import EXAMPLE_TUNE, DoneEvent, GenerateAnswer, MidiAnswer, Request, TextEvent

PROBLEMS = work_problems(
    {
        400: "the body is not JSON",
        415: "the body is not application/json",
        422: "a field is wrong: `errors` names it",
    }
)
MIDI_PROBLEMS = work_problems(
    {
        400: "there is no file",
        415: "it is no MIDI file",
        422: "it is broken, has no notes, drums only, several voices, notes that are too high or too low, is too long "
        "or follows no beat; or a field of the query is wrong: `errors` names it",
    }
)
EVENTS = """event: text
data: {"text": "X:1\\nT:The Open"}

event: done
data: {"tune": {"abc": "...", "valid": true}, "model": {"promoted": true}}

"""
ABC_PARAMETER = {
    "name": "abc",
    "in": "query",
    "required": True,
    "description": "the tune; POST keeps it out of the logs of what lies between",
    "schema": {"type": "string", "minLength": 1},
    "example": EXAMPLE_TUNE,
}


def document(requests: dict[str, type[Request]], version: str) -> Json:
    """version: of the model that is served."""
    about = {
        "title": "Music",
        "version": version,
        "description": "Irish folk tunes in ABC notation, written a character at a time by an LSTM with attention.",
    }
    paths = {**_paths(requests), **drift_route.path()}
    answers = (GenerateAnswer, MidiAnswer, TextEvent, DoneEvent, DriftAnswer)
    return openapi.document(about, paths, [*requests.values(), *answers])


def _paths(requests: dict[str, type[Request]]) -> Json:
    playing = {"midi": "audio/midi", "wav": "audio/wav"}
    return {
        "/generate": {
            "post": operation(
                "generate",
                "Make tunes; the same seed and model give the same tunes",
                json_of("GenerateAnswer"),
                body=_json("GenerateRequest", {"seed": 1, "key": "D Major", "metre": "6/8", "type": "jig"}),
                problems=PROBLEMS,
            )
        },
        "/stream": {
            "post": operation(
                "stream",
                "Make a tune, and send its text bar by bar, once it is final: `text` events (TextEvent), then one "
                "`done` (DoneEvent) that says whether it is valid; or one `error` (Problem)",
                {"text/event-stream": {"example": EVENTS}},
                body=_json("StreamRequest", {"temperature": 0.9}),
                problems=PROBLEMS,
            )
        },
        "/tunes/from-midi": {
            "post": operation(
                "from_midi",
                "Read the one voice of a MIDI file of up to `max_seconds`: the start of a tune, its key and its metre, "
                "and what was assumed",
                json_of("MidiAnswer"),
                body=_midi_bodies(),
                parameters=query_parameters(requests["MidiQuery"]),
                problems=MIDI_PROBLEMS,
            )
        },
        **{
            f"/tunes/{kind}": {
                "get": operation(
                    f"get_{kind}",
                    f"Play a short tune as {media_type}",
                    _file(media_type),
                    parameters=[ABC_PARAMETER],
                    problems=PROBLEMS,
                ),
                "post": operation(
                    f"post_{kind}",
                    f"Play a tune as {media_type}",
                    _file(media_type),
                    body=_json("AbcRequest", {"abc": EXAMPLE_TUNE}),
                    problems=PROBLEMS,
                ),
            }
            for kind, media_type in playing.items()
        },
    }


def _json(schema: str, example: Json) -> Json:
    return {"application/json": {"schema": reference(schema), "example": example}}


def _midi_bodies() -> Json:
    """The file as the whole body, or as the file of a form."""
    form = {"type": "object", "required": ["file"], "properties": {"file": BINARY}}
    return {
        "audio/midi": {"schema": BINARY},
        "multipart/form-data": {"schema": form, "encoding": {"file": {"contentType": "audio/midi"}}},
    }


def _file(media_type: str) -> Json:
    return {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}

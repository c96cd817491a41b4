"""/docs.json describes what the server does: checked by requests made from it."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from components.datasets.music.raw import Block
from components.labs.music.runtime.conditioning import Options
from serving.music.openapi import document
from serving.music.schemas import requests
from tests.midi_files import melody, midi
from tests.music_data import real_tunes
from tests.serving.described import schema_of
from tests.serving.servers import Server, params_of

PARAMS = params_of("music")
OPTIONS = Options.of_tunes((text for text in real_tunes() if Block(text, 1).split == "train"), PARAMS.export.min_tunes)
description = document(requests(PARAMS.serve, OPTIONS), "test")
MELODIES = st.sampled_from([midi(melody([62, 64, 66])), midi(melody([62, 64]), melody([55, 57]))])
schemathesis.openapi.media_type("audio/midi", MELODIES | st.binary(max_size=200))
schema = schema_of(description)


@schema.parametrize()
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_as_described_and_never_a_5xx(case: schemathesis.Case[Any], server: Server) -> None:
    # What is a character of the model, or playable ABC, no schema can say: such requests may be refused.
    case.call_and_validate(base_url=server.address, excluded_checks=[positive_data_acceptance], timeout=600)


def test_the_server_publishes_this_description(server: Server) -> None:
    published = server.client.get("/docs.json").json()
    published["info"]["version"] = description["info"]["version"]
    assert published == description


WITH_JSON = [
    path
    for path, item in description["paths"].items()
    if "post" in item and "application/json" in item["post"]["requestBody"]["content"]
]


@pytest.mark.parametrize("path", WITH_JSON)
def test_the_example_of_an_operation_works(path: str, server: Server) -> None:
    example: dict[str, Any] = description["paths"][path]["post"]["requestBody"]["content"]["application/json"][
        "example"
    ]
    if path == "/generate":  # the small model of the tests knows no jigs
        example = {**example, "valid_only": False}
    assert server.client.post(path, json=example).status_code == 200

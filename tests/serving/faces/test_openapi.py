"""/docs.json describes what the server does: checked by requests made from it, with real pictures and without."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.core.pictures import FORMATS
from serving.faces.openapi import document
from tests.serving.described import picture, register_pictures, schema_of
from tests.serving.servers import Server, params_of

register_pictures()
description = document(params_of("faces").serve, "test")
schema = schema_of(description)


@schema.parametrize()
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_as_described_and_never_a_5xx(case: schemathesis.Case[Any], faces_server: Server) -> None:
    # What is a picture no schema can say: such requests may be refused.
    case.call_and_validate(base_url=faces_server.address, excluded_checks=[positive_data_acceptance], timeout=600)


def test_the_server_publishes_this_description(faces_server: Server) -> None:
    published = faces_server.client.get("/docs.json").json()
    published["info"]["version"] = description["info"]["version"]
    assert published == description


@pytest.mark.parametrize("path", ["/classify", "/detect"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_that_is_described_is_taken(path: str, name: str, faces_server: Server) -> None:
    media_type = f"image/{name.lower()}"
    assert media_type in description["paths"][path]["post"]["requestBody"]["content"]
    answer = faces_server.client.post(path, content=picture(name, 100), headers={"content-type": media_type})
    assert answer.status_code == 200

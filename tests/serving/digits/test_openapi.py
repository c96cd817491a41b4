"""/docs.json describes what the server does: checked by requests made from it."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.digits.openapi import document
from tests.serving.described import register_pictures, schema_of
from tests.serving.servers import Server, params_of

register_pictures()
description = document(params_of("digits").serve, "test")
schema = schema_of(description)


@schema.parametrize()
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_as_described_and_never_a_5xx(case: schemathesis.Case[Any], digits_server: Server) -> None:
    # What is a picture no schema can say: such requests may be refused.
    case.call_and_validate(base_url=digits_server.address, excluded_checks=[positive_data_acceptance], timeout=600)


def test_the_server_publishes_this_description(digits_server: Server) -> None:
    published = digits_server.client.get("/docs.json").json()
    published["info"]["version"] = description["info"]["version"]
    assert published == description


def test_the_example_works(digits_server: Server) -> None:
    example = description["paths"]["/read"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert digits_server.client.post("/read", json=example).status_code == 200

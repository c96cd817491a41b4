"""The generation API over HTTP: a seed is a picture, whoever asks and for how many."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from PIL import Image

from components.bundle import Bundle
from components.families.generation.runtime import Generator
from serving.generation.openapi import document
from tests.serving.described import schema_of
from tests.serving.servers import Server, params_of, serving

description = document(params_of("digit_generation").serve, "test")
schema = schema_of(description)


def picture(server: Server, path: str) -> np.ndarray:
    answer = server.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_seeds_sheet_is_what_the_bundle_makes(generation_server: Server, generation_bundle: Path) -> None:
    sheet = picture(generation_server, "/samples?seed=5&count=4")
    made = Generator.load(Bundle.open(generation_bundle)).samples(5, 4)[..., 0]
    assert np.array_equal(sheet, np.block([[made[0], made[1]], [made[2], made[3]]]))
    assert np.array_equal(picture(generation_server, "/samples?seed=5&count=9")[:28, :56], sheet[:28])
    assert not np.array_equal(picture(generation_server, "/samples?seed=6&count=4"), sheet)
    assert picture(generation_server, "/samples").shape == (4 * 28, 4 * 28)


def test_an_interpolation_leads_from_one_seeds_first_picture_to_the_others(generation_server: Server) -> None:
    way = picture(generation_server, "/interpolation?first=3&last=4&count=5")
    assert way.shape == (28, 5 * 28)
    assert np.array_equal(way[:, :28], picture(generation_server, "/samples?seed=3&count=1"))
    assert np.array_equal(way[:, -28:], picture(generation_server, "/samples?seed=4&count=1"))


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/samples?seed=-1", "seed"),
        ("/samples?seed=4294967296", "seed"),
        ("/samples?seed=one", "seed"),
        ("/samples?count=0", "count"),
        ("/samples?count=101", "count"),
        ("/samples?sed=1", "sed"),
        ("/interpolation?count=1", "count"),
        ("/interpolation?first=1.5", "first"),
        ("/samples?seed=1&count=4&seed=2", "seed"),
    ],
)
def test_what_is_wrong_in_a_query_is_named(generation_server: Server, path: str, field: str) -> None:
    answer = generation_server.client.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


def test_every_answer_says_which_model_gave_it(generation_server: Server, generation_bundle: Path) -> None:
    digest = Bundle.open(generation_bundle).digest
    for path in ("/samples", "/interpolation", "/info", "/", "/readyz", "/docs.json"):
        answer = generation_server.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["x-model-digest"] == digest
        assert answer.headers["x-promoted"] == "false"


def test_limits_are_said_as_they_are_written(generation_server: Server) -> None:
    assert '"max_pictures":100,' in generation_server.client.get("/info").text


def test_a_server_that_makes_few_pictures_a_request_starts_and_says_so(generation_bundle: Path, tmp_path: Path) -> None:
    with serving("digit_generation", generation_bundle, tmp_path, "--allow-unpromoted", max_pictures=10) as server:
        assert picture(server, "/samples").shape == (3 * 28, 4 * 28)
        assert server.client.get("/samples?count=11").json()["errors"][0]["field"] == "count"
        parameters = server.client.get("/docs.json").json()["paths"]["/samples"]["get"]["parameters"]
        count = next(each["schema"] for each in parameters if each["name"] == "count")
        assert (count["default"], count["maximum"]) == (10, 10)


@schema.parametrize()
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_as_described_and_never_a_5xx(case: schemathesis.Case[Any], generation_server: Server) -> None:
    case.call_and_validate(base_url=generation_server.address, timeout=600)

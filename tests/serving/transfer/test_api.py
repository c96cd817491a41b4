"""The transfer API over HTTP: what a photograph shows, categories that a client teaches, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bundle import Bundle
from components.labs.transfer.runtime.head import Head, left_out_accuracy
from components.labs.transfer.runtime.model import CategoryModel
from components.stats import softmax
from serving.core.problems import RefusalError
from serving.transfer.taught import Taught, TaughtModels
from tests.serving.servers import Server

Files = list[tuple[str, tuple[str, bytes, str]]]


def files(pictures: dict[str, list[bytes]], *names: str, each: int = 5) -> Files:
    return [(name, ("a.jpg", content, "image/jpeg")) for name in names for content in pictures[name][:each]]


@pytest.fixture(scope="module")
def taught(transfer_server: Server, pictures: dict[str, list[bytes]]) -> Iterator[str]:
    answer = transfer_server.client.post("/teach", files=files(pictures, "airplanes", "sunflower"))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["categories"] == [{"category": "airplanes", "pictures": 5}, {"category": "sunflower", "pictures": 5}]
    assert found["left_out_accuracy"] > 0.8
    yield found["taught"]


def classified(server: Server, picture: bytes, query: str = "") -> list[dict[str, Any]]:
    answer = server.client.post(f"/classify{query}", content=picture, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["categories"]
    return found


def test_a_photograph_gets_the_categories_of_the_bundle_the_best_first(
    transfer_server: Server, transfer_bundle: Path, pictures: dict[str, list[bytes]]
) -> None:
    found = classified(transfer_server, pictures["chair"][0])
    model = CategoryModel.load(Bundle.open(transfer_bundle))
    assert {each["category"] for each in found} == set(model.categories)
    shares = [each["probability"] for each in found]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-4)


def test_a_taught_model_tells_pictures_apart_that_it_was_not_shown(
    transfer_server: Server, taught: str, pictures: dict[str, list[bytes]]
) -> None:
    for name in ("airplanes", "sunflower"):
        found = classified(transfer_server, pictures[name][5], f"?taught={taught}")
        assert found[0]["category"] == name
        assert len(found) == 2


def test_a_taught_model_is_forgotten_when_asked(transfer_server: Server, pictures: dict[str, list[bytes]]) -> None:
    client = transfer_server.client
    name = client.post("/teach", files=files(pictures, "airplanes", "chair", each=1)).json()["taught"]
    assert client.delete(f"/teach?taught={name}").json() == {"forgotten": name}
    assert client.delete(f"/teach?taught={name}").status_code == 404
    answer = client.post(f"/classify?taught={name}", content=pictures["chair"][0])
    assert answer.status_code == 404 and "teach it again" in answer.json()["detail"]


def test_one_picture_each_is_taught_and_nothing_is_claimed_of_it(
    transfer_server: Server, pictures: dict[str, list[bytes]]
) -> None:
    found = transfer_server.client.post("/teach", files=files(pictures, "airplanes", "chair", each=1)).json()
    assert found["left_out_accuracy"] is None


def test_what_cannot_be_taught_is_refused_and_named(transfer_server: Server, pictures: dict[str, list[bytes]]) -> None:
    client, some = transfer_server.client, files(pictures, "airplanes", each=2)
    cases: list[tuple[Files, int, str]] = [
        (some, 422, "taught 2 to 3 categories, and the form has pictures of 1"),
        ([*some, *((str(n), some[0][1]) for n in range(4))], 422, "pictures of 5"),
        (files(pictures, "airplanes", "chair", "sunflower", each=5), 422, "at most 12 pictures"),
        ([*some, ("x" * 61, some[0][1])], 422, "1 to 60 printable letters"),
        ([*some, (" ", some[0][1])], 422, "1 to 60 printable letters"),
        ([*some, ("text", ("a.txt", b"no picture", "image/jpeg"))], 415, "1 of the files can't be looked at"),
        ([*some, ("cut off", ("a.jpg", some[0][1][1][:900], "image/jpeg"))], 422, "can't be looked at"),
    ]
    for sent, status, said in cases:
        answer = client.post("/teach", files=sent)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), (said, answer.text)
    assert client.post("/teach", content=b"{}", headers={"content-type": "application/json"}).status_code == 415
    assert client.post("/teach", data={"cat": "http://example.org/a.jpg"}).status_code in (400, 415, 422)


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 400), (b"no picture", 415), (b"\xff\xd8\xff\xe0" + bytes(300), 415)]
)
def test_what_is_no_picture_is_refused(transfer_server: Server, content: bytes, status: int) -> None:
    answer = transfer_server.client.post("/classify", content=content)
    assert answer.status_code == status, answer.text


def test_an_unknown_field_of_the_query_is_named(transfer_server: Server, pictures: dict[str, list[bytes]]) -> None:
    answer = transfer_server.client.post("/classify?tought=x", content=pictures["chair"][0])
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "tought"


def test_old_models_are_forgotten_and_the_oldest_goes_first() -> None:
    now = 0.0
    kept = TaughtModels(2, 10.0, lambda: now)
    model = Taught(Head(np.zeros((1, 2)), np.zeros(2)), ("a", "b"))
    first, second, third = (kept.keep(model) for _ in range(3))
    with pytest.raises(RefusalError):
        kept.find(first)
    assert kept.find(second) is kept.find(third) is model
    now = 10.0
    with pytest.raises(RefusalError, match="forgotten"):
        kept.find(third)
    assert len(kept) == 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 6))
@settings(deadline=None, max_examples=30)
def test_a_head_is_the_minimum_of_its_loss(seed: int, categories: int, each: int) -> None:
    draw, decay = np.random.default_rng(seed), 0.01
    labels = np.repeat(np.arange(categories), each)
    features = (3 + 2 * draw.normal(size=(len(labels), 5)) + labels[:, None]).astype(np.float32)
    head = Head.fit(features, labels, decay)
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    scaled, weight = (features - mean) / deviation, head.weight * deviation[:, None]
    wrong = (softmax(scaled @ weight + head.bias + mean @ head.weight) - np.eye(categories)[labels]) / len(labels)
    assert np.abs(scaled.T @ wrong + 2 * decay * weight).max() < 5e-3
    assert head.probabilities(features).sum(1) == pytest.approx(1, abs=1e-5)


def test_pictures_of_noise_are_found_by_chance_when_they_are_left_out() -> None:
    draw = np.random.default_rng(1)
    labels = np.arange(200) % 2
    found = left_out_accuracy(draw.normal(size=(200, 20)).astype(np.float32), labels, 0.01)
    assert found is not None and 0.3 < found < 0.7
    assert left_out_accuracy(np.zeros((3, 2), np.float32), np.array([0, 0, 1]), 0.01) is None

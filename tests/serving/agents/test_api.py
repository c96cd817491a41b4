"""The agents API over HTTP: actions for observations, and episodes that a seed decides."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from PIL import Image

from components.bundle import Bundle
from components.families.agents.evaluation.evaluate import acting
from components.families.agents.runtime.episodes import play
from components.families.agents.runtime.policy import Policy
from serving.agents.openapi import document
from tests.components.families.agents.made import cartpole
from tests.serving.described import schema_of
from tests.serving.servers import Server, params_of, serving

description = document(params_of("cartpole").serve, "test", cartpole())
schema = schema_of(description)


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def act(server: Server, observations: Any) -> Any:
    return server.client.post("/act", json={"observations": observations})


def test_actions_are_the_bundles_for_each_observation(agents_server: Server, agents_bundle: Path) -> None:
    seen = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    answer = act(agents_server, seen.tolist())
    assert answer.status_code == 200, answer.text
    wanted = Policy.load(Bundle.open(agents_bundle))(seen)
    assert answer.json()["actions"] == wanted.actions.tolist()
    assert np.allclose(answer.json()["probabilities"], wanted.probabilities, atol=1e-6)
    assert answer.headers["x-model-digest"] == Bundle.open(agents_bundle).digest


@pytest.mark.parametrize(
    "body",
    [
        '{"observations": [[1, 2, 3]]}',
        '{"observations": [1, 2, 3, 4]}',
        '{"observations": [[1, 2, 3, NaN]]}',
        '{"observations": [[1, 2, 3, 1e999]]}',
        '{"observations": [[1, 2, 3, 1e300]]}',
        '{"observations": [[1, 2, 3, "four"]]}',
        '{"observations": [[1, 2, 3, null]]}',
        '{"observations": [[1, 2], [1, 2, 3, 4]]}',
        '{"observations": [{"x": 1}]}',
        '{"observations": []}',
        '{"observations": ' + json.dumps([[0, 0, 0, 0]] * 257) + "}",
    ],
)
def test_observations_that_the_game_never_shows_are_refused_by_name(agents_server: Server, body: str) -> None:
    answer = agents_server.client.post("/act", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"].startswith("observations")


def test_an_episode_is_what_the_policy_plays_for_its_seed(agents_server: Server, agents_bundle: Path) -> None:
    answer = agents_server.client.get("/episode?seed=5")
    assert answer.headers["content-type"] == "text/event-stream"
    *steps, (last, done) = events(answer.text)
    wanted = list(play(cartpole(), acting(Policy.load(Bundle.open(agents_bundle))), 5, render=True))
    assert [name for name, _ in steps] == ["step"] * len(wanted)
    assert [step["action"] for _, step in steps] == [moment.action for moment in wanted]
    assert (last, done["steps"], done["total"], done["ended"]) == ("done", len(wanted), wanted[-1].total, True)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(steps[0][1]["picture"]))))
    assert wanted[0].picture is not None
    assert np.array_equal(picture, wanted[0].picture)


def test_an_episode_may_be_cut_off_and_come_without_pictures(agents_server: Server) -> None:
    found = events(agents_server.client.get("/episode?seed=5&steps=3&pictures=false").text)
    assert [name for name, _ in found] == ["step"] * 3 + ["done"]
    assert found[0][1]["picture"] == ""
    assert found[-1][1]["ended"] is False


def test_a_visitor_plays_and_sees_what_the_policy_would_do(agents_server: Server) -> None:
    steps = [step for name, step in events(agents_server.client.get("/episode?seed=5").text) if name == "step"]
    actions = [step["action"] for step in steps]
    for count in (0, 3, len(actions)):
        answer = agents_server.client.post("/play", json={"seed": 5, "actions": actions[:count]})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["step"], found["total"], found["ended"]) == (count, float(count), count == len(actions))
        if count < len(actions):
            assert found["action"] == actions[count]
            assert found["probabilities"] == pytest.approx(steps[count]["probabilities"])
        assert len(found["pictures"]) == 1
    late = agents_server.client.post("/play", json={"seed": 5, "actions": [*actions, 0]}).json()
    assert (late["step"], late["ended"]) == (len(actions), True)
    for wrong in ([2], [0.5], [True]):
        refused = agents_server.client.post("/play", json={"seed": 5, "actions": wrong})
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["field"].startswith("actions")


@pytest.mark.parametrize(
    ("query", "field"),
    [("seed=-1", "seed"), ("seed=2147483648", "seed"), ("seed=x", "seed"), ("steps=0", "steps"),
     ("steps=20001", "steps"), ("sed=1", "sed"), ("seed=1&seed=2", "seed"), ("pictures=perhaps", "pictures")],
)  # fmt: skip
def test_what_is_wrong_in_a_query_is_named(agents_server: Server, query: str, field: str) -> None:
    answer = agents_server.client.get(f"/episode?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


def test_more_episodes_than_may_be_played_are_refused_and_a_place_comes_free(
    agents_bundle: Path, tmp_path: Path
) -> None:
    with serving("cartpole", agents_bundle, tmp_path, "--allow-unpromoted", max_episodes=1) as server:
        with server.client.stream("GET", "/episode?seed=1") as first:
            next(first.iter_raw())
            # Whether the first has ended by now is a matter of speed; a refusal says when to come back.
            second = server.client.get("/episode?seed=1")
            assert second.status_code in (200, 429)
            assert second.status_code == 200 or second.headers["retry-after"] == "1"
        server.wait_for(lambda: server.client.get("/episode?seed=1").status_code == 200)


@schema.parametrize()
@settings(max_examples=8, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_as_described_and_never_a_5xx(case: schemathesis.Case[Any], agents_server: Server) -> None:
    case.call_and_validate(base_url=agents_server.address, timeout=600)

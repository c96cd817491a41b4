"""The chat API over HTTP: streamed answers, OpenAI's client, and requests that are refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from components.bundle import Bundle
from components.datasets.styles.template_reader import Message
from components.labs.chat.runtime.model import ChatModel
from components.labs.chat.runtime.sampler import ask, write_all
from tests.chat_model import params
from tests.serving.servers import Server

QUESTION = {"messages": [{"role": "user", "content": "What is gold?"}]}
SHORT = {"max_tokens": 12}


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def chat(server: Server, **asked: Any) -> list[tuple[str, Any]]:
    answer = server.client.post("/chat", json={**QUESTION, **SHORT, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream"
    return events(answer.text)


def test_an_answer_is_streamed_and_is_the_bundles(chat_server: Server, chat_bundle: Bundle) -> None:
    for style in ("yoda", "plain"):
        *texts, (last, done) = chat(chat_server, style=style, seed=3, temperature=0.8)
        assert last == "done"
        assert "".join(data["text"] for _, data in texts) == done["text"]
        model = ChatModel.load(chat_bundle)
        sampling = params().serve.sampling.model_copy(update={"temperature": 0.8, "max_tokens": 12})
        wanted = write_all(model, [ask(model, [Message("user", "What is gold?")], style, sampling, 3)])[0]
        assert done["text"] == wanted.text
        assert (done["completion_tokens"], done["finish_reason"]) == (len(wanted.tokens), wanted.finished)
        assert done["model"]["model_digest"] == chat_bundle.digest


def test_the_openai_client_is_answered(chat_server: Server) -> None:
    from openai import OpenAI, UnprocessableEntityError

    client = OpenAI(base_url=f"{chat_server.address}/v1", api_key="none", max_retries=0)
    messages: Any = [{"role": "user", "content": "What is gold?"}]
    whole = client.chat.completions.create(model="yoda", messages=messages, max_tokens=12, temperature=0)
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(
        client.chat.completions.create(model="yoda", messages=messages, max_tokens=12, temperature=0, stream=True)
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    *_, last = client.chat.completions.create(
        model="yoda",
        messages=messages,
        max_tokens=12,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert (last.choices, last.usage) == ([], whole.usage)
    with pytest.raises(UnprocessableEntityError):
        client.chat.completions.create(model="gpt-4", messages=messages)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"messages": []}, 422, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, 422, "messages.0.content"),
        ({"messages": [{"role": "user", "content": " \n"}]}, 422, "messages.0.content"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 422, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, 422, "messages"),
        ({"messages": [{"role": "user", "content": "a\u0000b"}]}, 422, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "a"}] * 51}, 422, "messages"),
        ({"messages": [{"role": "user", "content": "a"}] * 10_000}, 413, None),
        ({"messages": [{"role": "user", "content": "a" * 9000}]}, 422, "messages"),
        ({"messages": [{"role": "user", "content": "é" * 7000}]}, 422, "messages"),
        ({"messages": [{"role": "user", "content": "a" * 100_000}]}, 413, None),
        ({**QUESTION, "temperature": -1}, 422, "temperature"),
        ({**QUESTION, "top_p": 0}, 422, "top_p"),
        ({**QUESTION, "max_tokens": 100_000}, 422, "max_tokens"),
        ({**QUESTION, "style": "pirate"}, 422, "style"),
        ({**QUESTION, "sytle": "yoda"}, 422, "sytle"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    body: dict[str, Any], status: int, field: str | None, chat_server: Server
) -> None:
    answer = chat_server.client.post("/chat", json=body)
    assert answer.status_code == status, answer.text
    if field:
        assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        ('{"messages": [{"role": "user", "content": "hi"}], "temperature": NaN}', 422),
        ("{", 400),
    ],
)
def test_what_is_no_json_is_refused(body: str, status: int, chat_server: Server) -> None:
    answer = chat_server.client.post("/chat", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text


def test_what_the_model_wrote_may_be_sent_back_whatever_it_is(chat_server: Server) -> None:
    said = [*QUESTION["messages"], {"role": "assistant", "content": "\x16 gold\x00 \ufffd"}]
    assert chat(chat_server, messages=[*said, {"role": "user", "content": "And silver?"}])[-1][0] == "done"


def test_a_mark_in_a_message_is_text(chat_server: Server) -> None:
    plain, marked = (
        chat(chat_server, messages=[{"role": "user", "content": text}])[-1][1]["prompt_tokens"]
        for text in ("hi", "hi<|im_end|>")
    )
    assert marked > plain + 1


def test_more_than_the_slots_wait_and_more_than_may_wait_are_refused(chat_server: Server) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = list(
            pool.map(lambda seed: chat_server.client.post("/chat", json={**QUESTION, **SHORT, "seed": seed}), range(12))
        )
    assert {answer.status_code for answer in found} <= {200, 429}
    assert sum(answer.status_code == 200 for answer in found) >= 4
    assert all("retry-after" in answer.headers for answer in found if answer.status_code == 429)
    for answer in found:
        if answer.status_code == 200:
            assert events(answer.text)[-1][0] == "done"
    chat_server.wait_for(lambda: chat_server.metric("chat_places_taken") == 0)


def test_a_client_that_leaves_frees_its_place(chat_server: Server) -> None:
    with chat_server.client.stream("POST", "/chat", json={**QUESTION, "max_tokens": 200}) as answer:
        next(answer.iter_bytes())
    chat_server.wait_for(lambda: chat_server.metric("chat_places_taken") == 0)
    chat_server.wait_for(lambda: chat_server.metric("chat_answers_active") == 0)
    assert chat(chat_server)[-1][0] == "done"

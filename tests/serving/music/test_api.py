"""The music API over HTTP: what a user asks for, and what the operator sees."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from mido import MidiFile

from components.bundle import Bundle, BundleSpec, write_bundle
from components.datasets.music.abc_notation import check, parse_tune
from components.datasets.music.form import find_form
from components.labs.music.runtime.conditioning import Conditions, Options
from components.labs.music.runtime.model import TuneModel
from components.labs.music.runtime.prompt import conditioned
from components.labs.music.runtime.request import TuneRequest
from components.labs.music.runtime.sampler import generate
from serving.music.schemas import EXAMPLE_TUNE
from tests.serving.conftest import EASY, LIMITATION
from tests.serving.servers import PROJECT, Server, command, serving


def events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    for block in answer.text.strip().split("\n\n"):
        name, data = block.split("\n")
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def make(server: Server, **body: Any) -> dict[str, Any]:
    answer = server.client.post("/generate", json={**EASY, **body})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def test_every_tune_returned_is_valid_and_as_it_was_asked_for(server: Server) -> None:
    answer = make(server, seed=1, count=4, title="The Open Window")
    assert len(answer["tunes"]) == 4
    assert len({tune["abc"] for tune in answer["tunes"]}) > 1
    for tune in answer["tunes"]:
        assert check(tune["abc"]) == []
        assert tune["valid"]
        assert tune["problems"] == []
        assert (tune["title"], tune["key"], tune["metre"], tune["type"]) == (
            "The Open Window",
            "G Major",
            "6/8",
            "jig",
        )
        assert tune["length"] == len(tune["abc"])


def test_a_seed_makes_the_same_tunes_alone_and_in_a_crowd(server: Server) -> None:
    alone = make(server, seed=7, count=2)["tunes"]
    with ThreadPoolExecutor(8) as crowd:
        others = [crowd.submit(make, server, seed=seed, temperature=0.6) for seed in range(100, 120)]
        together = make(server, seed=7, count=2)["tunes"]
        for other in others:
            other.result()
    assert together == alone


def test_each_tune_is_made_again_by_its_own_seed(server: Server) -> None:
    for tune in make(server, seed=11, count=3)["tunes"]:
        again = make(server, seed=tune["seed"])["tunes"][0]
        assert again["abc"] == tune["abc"]


def test_a_seed_is_drawn_and_told_when_none_is_given(server: Server) -> None:
    first, second = make(server), make(server)
    assert first["seed"] != second["seed"]
    assert make(server, seed=first["seed"])["tunes"] == first["tunes"]


def test_a_sample_is_what_the_bundle_writes_offline(server: Server, promoted_bundle: Path) -> None:
    bundle = Bundle.open(promoted_bundle)
    model, options = TuneModel.load(bundle, "int8"), Options.of_spec(bundle.spec)
    expected = generate(model, [conditioned(TuneRequest(seed=5, max_length=200), Conditions(), options)])[0]
    answer = server.client.post("/generate", json={"seed": 5, "max_length": 200, "valid_only": False}).json()
    assert answer["tunes"][0]["abc"] == expected.text
    assert answer["tunes"][0]["valid"] == (expected.ended and check(expected.text) == [])


SLIDE = {"metre": "6/8", "type": "slide", "temperature": 0.5}
"""The small model knows one slide, of twice eight bars."""


def test_a_tune_has_the_form_that_is_asked_for_and_says_nothing_of_it(server: Server) -> None:
    made = [make_raw(server, **SLIDE, parts=2, bars=8, repeats=True, valid_only=True, seed=seed) for seed in range(8)]
    for tune in made:
        assert tune["valid"]
        assert "r:" not in tune["abc"]
        form = find_form(parse_tune(tune["abc"]))
        assert form is not None
        assert [(part.bars, part.repeated) for part in form.parts] == [(8, True), (8, True)]
    again = make(server, seed=3, **SLIDE, key=None, parts=2, bars=8, repeats=True)["tunes"]
    assert again == [made[3]]


def test_a_model_without_forms_is_served_and_offers_none(music_bundle: Path, tmp_path: Path) -> None:
    given = Bundle.open(music_bundle)
    spec = {name: value for name, value in given.spec.items() if name != "forms"}
    folder = tmp_path / "old"
    shutil.copytree(music_bundle, folder)
    graphs = {name: folder / graph.file for name, graph in given.manifest.graphs.items()}
    write_bundle(folder, "music", BundleSpec(graphs, spec), given.manifest.provenance)
    with serving("music", folder, tmp_path, "--allow-unpromoted") as server:
        assert make(server, seed=1)["tunes"][0]["valid"]
        answer = server.client.post("/generate", json={"bars": 8})
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": "bars", "reason": "this model reads no forms: leave it out"}]


def test_a_start_is_gone_on_from(server: Server) -> None:
    start = "X:1\nT:Mine\nZ: id:dc-reel-1\nM:6/8\nL:1/8\nK:G Major\n"
    tune = make_raw(server, start=start)
    assert tune["abc"].startswith(start)
    tune = make_raw(server, **{key: EASY[key] for key in ("key", "metre", "type")}, start="B3 cBc|")
    assert "K:G Major\nB3 cBc|" in tune["abc"]


def make_raw(server: Server, **body: Any) -> dict[str, Any]:
    answer = server.client.post("/generate", json={"seed": 1, "temperature": 0.5, "valid_only": False, **body})
    assert answer.status_code == 200, answer.text
    tune: dict[str, Any] = answer.json()["tunes"][0]
    return tune


@pytest.mark.parametrize("key", ["G", "Gmaj", "G Major"])
def test_a_start_in_any_spelling_is_gone_on_from_and_kept_to_the_letter(server: Server, key: str) -> None:
    start = f"X: 1\nT: Mine\nR: slip jig\nM: 6/8\nL: 1/8\nK: {key}\n"
    tune = make_raw(server, start=start, valid_only=True)
    assert tune["abc"].startswith(start)
    assert tune["key"] == key
    spelled = make_raw(server, start=start.replace(f"K: {key}", "K: G Major"), valid_only=True)
    assert tune["abc"].removeprefix(start) == spelled["abc"].removeprefix(spelled["abc"][: len(start) + 7 - len(key)])


def test_a_metre_alone_is_given_a_type_that_goes_with_it(server: Server) -> None:
    bodies: list[dict[str, Any]] = [{"metre": metre, "seed": seed} for metre in ("6/8", "9/8", "C|") for seed in (1, 2)]
    made = [make_raw(server, max_length=60, **body) for body in bodies]
    types = server.client.get("/info").json()["spec"]["types_by_metre"]
    for body, tune in zip(bodies, made, strict=True):
        assert tune["type"] in types[body["metre"]]
    assert made == [make_raw(server, max_length=60, **body) for body in bodies]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"metre": "12/8"}, "metre", "'6/8', '9/8'"),
        ({"type": "tango"}, "type", "'jig'"),
        ({"type": "jig", "metre": "4/4"}, "type", "a jig is in 6/8, and in 4/4 there is reel"),
        ({"key": "A# Major"}, "key", "more than seven sharps or flats"),
        ({"key": "H Major"}, "key", "pattern"),
        ({"title": "  "}, "title", "pattern"),
        ({"title": "a" * 101}, "title", "at most 100"),
        ({"temperature": 1.5}, "temperature", "less than or equal to 1.2"),
        ({"top_k": 1001}, "top_k", "less than or equal to 1000"),
        ({"start": "X:1\nT:Mine\nM:C\nK:D\n"}, "start", "no L: field before K:"),
        ({"start": "X:1\nT:Mine\nM:C\nL:1/8\nK:H\n"}, "start", "unknown key 'H'"),
        ({"start": "[V:1]A8|[V:2]A8|"}, "start", "several voices (V:2)"),
        ({"start": "ABcABc|ABcd|", "metre": "6/8"}, "start", "bar 2 is too short"),
        ({"start": "A|B|C|"}, "start", "no tune that begins with it is valid"),
        ({"parts": 0}, "parts", "greater than or equal to 1"),
        ({"parts": 2.0}, "parts", "valid integer"),
        ({"repeats": "yes"}, "repeats", "valid boolean"),
        (
            {"metre": "6/8", "type": "slide", "parts": 3, "bars": 8},
            "parts",
            "the model knows no slide in 6/8 of 3 parts of 8 bars; it knows: 8 + 8 bars, each played twice",
        ),
        (
            {"metre": "2/4", "bars": 8},
            "bars",
            "knows no tune in 2/4 of any number of parts of 8 bars; it knows: nothing",
        ),
        ({"repeats": False}, "repeats", "the model knows no tune of any number of parts, each played once"),
        ({"parts": 2, "bars": 8, "metre": "6/8", "start": "A|BcdefA|"}, "parts", "no tune that begins with the start"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/stream"])
def test_what_the_model_cannot_write_is_refused_before_anything_is_sampled(
    server: Server, path: str, body: dict[str, Any], field: str, words: str
) -> None:
    server.wait_for(lambda: server.metric("music_tunes_active") == 0)
    before = server.metric("music_characters_sampled")
    answer = server.client.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert words in answer.json()["errors"][0]["reason"]
    assert server.metric("music_characters_sampled") == before


def test_a_bundle_that_does_not_say_what_can_be_asked_of_it_is_refused(music_bundle: Path, tmp_path: Path) -> None:
    given = Bundle.open(music_bundle)
    spec = {name: value for name, value in given.spec.items() if name != "types_by_metre"}
    folder = tmp_path / "old"
    shutil.copytree(music_bundle, folder)
    graphs = {name: folder / graph.file for name, graph in given.manifest.graphs.items()}
    write_bundle(folder, "music", BundleSpec(graphs, spec), given.manifest.provenance)
    arguments = command("music", folder, 0, "--allow-unpromoted")
    done = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "export the model again" in done.stderr.splitlines()[-1]


def test_when_a_tune_has_no_room_for_a_bar_the_answer_says_what_to_change(server: Server) -> None:
    answer = server.client.post("/generate", json={"seed": 1, "max_length": 5})
    assert answer.status_code == 422
    assert "valid_only=false" in answer.json()["detail"]


def test_a_stream_is_the_tune_character_by_character_and_ends_with_its_verdict(server: Server) -> None:
    body = {**EASY, "seed": 3}
    *texts, (name, last) = events(server.client.post("/stream", json=body))
    assert {event for event, _ in texts} == {"text"}
    assert name == "done"
    assert "".join(data["text"] for _, data in texts).rstrip("\n") == last["tune"]["abc"]
    assert last["tune"]["abc"] == make_raw(server, **body, valid_only=True)["abc"], "streamed or not, a seed is a tune"
    assert last["tune"]["valid"]
    assert check(last["tune"]["abc"]) == []
    assert last["model"]["promoted"] is True


def test_a_client_that_leaves_frees_its_place(endless_bundle: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"active_tunes": 1, "waiting_tunes": 0, "max_length": 10_000_000}
    with serving("music", endless_bundle, tmp_path, "--allow-unpromoted", **limits) as server:
        with server.client.stream("POST", "/stream", json={"max_length": 10_000_000, "valid_only": False}) as answer:
            pieces = answer.iter_raw()  # held: a generator that nobody holds closes its connection
            next(pieces)
            server.wait_for(lambda: server.metric("music_tunes_active") == 1)
        server.wait_for(lambda: server.metric("music_tunes_active") == 0)
        server.wait_for(lambda: '"status": 499' in server.log())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_tune_can_be_heard_without_abc_tools(server: Server, method: str) -> None:
    body: dict[str, Any] = {"params": {"abc": EXAMPLE_TUNE}} if method == "GET" else {"json": {"abc": EXAMPLE_TUNE}}
    midi = server.client.request(method, "/tunes/midi", **body)
    assert midi.headers["content-type"] == "audio/midi"
    assert MidiFile(file=io.BytesIO(midi.content)).length > 5
    sound = server.client.request(method, "/tunes/wav", **body)
    assert sound.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(sound.content)) as file:
        assert file.getnframes() / file.getframerate() > 5


def test_what_cannot_be_played_is_refused_by_name(server: Server) -> None:
    answer = server.client.post("/tunes/wav", json={"abc": "no tune at all"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "abc"


def test_a_tune_given_twice_is_refused_by_name(server: Server) -> None:
    answer = server.client.get("/tunes/midi", params={"abc": [EXAMPLE_TUNE, EXAMPLE_TUNE]})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "abc", "reason": "given more than once"}]


def test_every_answer_says_which_model_gave_it(server: Server, promoted_bundle: Path) -> None:
    digest = Bundle.open(promoted_bundle).digest
    for answer in (
        server.client.get("/livez"),
        server.client.get("/info"),
        server.client.get("/nope"),
        server.client.get("/"),
        server.client.post("/generate", json=EASY),
        server.client.post("/generate", content=b"{"),
        server.client.post("/stream", json=EASY),
    ):
        assert answer.headers["x-model-digest"] == digest
        assert answer.headers["x-promoted"] == "true"
        assert answer.headers["x-mlflow-run"] == "1" * 32
        assert answer.headers["x-data-version"]
        assert answer.headers["x-git-commit"]
        assert answer.headers["x-request-id"]


def test_info_tells_bundle_provenance_providers_and_limits(server: Server) -> None:
    info = server.client.get("/info").json()
    assert info["model"]["variant"] == "int8"
    assert info["model"]["promoted"] is True
    assert info["metrics"] == {"bits_per_char": 1.3}
    assert info["limitations"] == [LIMITATION]
    assert info["providers"] == ["CPUExecutionProvider"]
    assert info["limits"]["active_tunes"] == 32
    assert info["spec"]["hidden_size"] == 128


def test_probes_and_metrics_answer(server: Server) -> None:
    assert server.client.get("/livez").status_code == 200
    assert server.client.get("/readyz").status_code == 200
    server.wait_for(lambda: server.metric("music_places_taken") == 0)
    before = server.metric('music_samples_total{valid="true"}')
    made = make(server, seed=1, count=2)["tunes"]
    assert server.metric('music_samples_total{valid="true"}') == before + len(made)
    assert server.metric("music_characters_sampled") > sum(tune["length"] for tune in made) / 2


def test_the_serving_process_holds_no_torch(server: Server) -> None:
    make(server)
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "torch" not in maps


def test_sigterm_lets_what_runs_finish(endless_bundle: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"max_length": 10_000_000, "drain_seconds": 600.0}
    with serving("music", endless_bundle, tmp_path, "--allow-unpromoted", **limits) as server:
        with server.client.stream("POST", "/stream", json={"max_length": 50_000, "valid_only": False}) as answer:
            chunks = answer.iter_raw()
            received = next(chunks)
            server.process.send_signal(signal.SIGTERM)
            received += b"".join(chunks)
        assert b"event: done" in received, "the running stream is not cut off"
        assert server.process.wait(300) == 0


def test_after_sigterm_nothing_new_is_taken_and_what_runs_goes_on(endless_bundle: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"max_length": 10_000_000, "drain_seconds": 600.0}
    with serving("music", endless_bundle, tmp_path, "--allow-unpromoted", **limits) as server:
        with server.client.stream("POST", "/stream", json={"max_length": 10_000_000, "valid_only": False}) as answer:
            chunks = answer.iter_raw()
            next(chunks)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for(lambda: server.client.get("/readyz").status_code == 503)
            for path, body in (("/generate", {}), ("/stream", {}), ("/tunes/wav", {"abc": EXAMPLE_TUNE})):
                refused = server.client.post(path, json=body)
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) >= 1
            assert server.client.get("/livez").status_code == 200
            before = server.metric("music_characters_sampled")
            server.wait_for(lambda: server.metric("music_characters_sampled") > before)
            assert b"event: text" in next(chunks)
        assert server.process.wait(300) == 0, "it ends when nobody listens any more"


def test_an_unpromoted_bundle_is_served_only_on_request_and_says_so(music_bundle: Path, tmp_path: Path) -> None:
    refused = subprocess.run(
        command("music", music_bundle, 0), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert_one_line_error(refused, "is not promoted", "--allow-unpromoted")
    with serving("music", music_bundle, tmp_path, "--allow-unpromoted") as server:
        answer = server.client.post("/generate", json=EASY)
        assert answer.headers["x-promoted"] == "false"
        assert answer.json()["model"]["promoted"] is False


def flip(folder: Path) -> None:
    path = folder / "int8_sample.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(folder: Path) -> None:
    (folder / "int8_sample.onnx").unlink()


def disown(folder: Path) -> None:
    promotion = json.loads((folder / "promotion.json").read_text())
    (folder / "promotion.json").write_text(json.dumps({**promotion, "model_digest": "0" * 64}))


def block(folder: Path) -> None:
    decision = json.loads((folder / "decision.json").read_text())
    (folder / "decision.json").write_text(json.dumps({**decision, "verdict": "FAIL"}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [(flip, "sha256"), (remove, "is missing"), (disown, "promotion.json"), (block, "FAIL")],
)
def test_a_bundle_that_must_not_be_served_stops_the_start(
    promoted_bundle: Path, tmp_path: Path, damage: Any, words: str
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(promoted_bundle, folder)
    damage(folder)
    done = subprocess.run(command("music", folder, 0), cwd=PROJECT, capture_output=True, text=True, check=False)
    assert_one_line_error(done, words)


def test_a_port_in_use_is_one_line(server: Server, promoted_bundle: Path) -> None:
    arguments = command("music", promoted_bundle, server.port)
    done = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert_one_line_error(done, f"127.0.0.1:{server.port}", "--port")


def assert_one_line_error(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    line = done.stderr.strip()
    assert line.startswith("error: ")
    assert "\n" not in line
    for word in words:
        assert word in line


def test_without_a_champion_the_start_says_how_to_make_one(tmp_path: Path) -> None:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/none.db"}
    arguments = command("music", "models:/music@champion", 0)
    done = subprocess.run(arguments, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert_one_line_error(done, "models:/music@champion", "make repro")

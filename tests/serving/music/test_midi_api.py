"""A MIDI file over HTTP: what comes of it is gone on from, and what is no melody is refused."""

from __future__ import annotations

from typing import Any

import pytest
from mido import MetaMessage

from components.datasets.music.abc_notation import check
from serving.music.schemas import EXAMPLE_TUNE
from tests.midi_files import melody, midi
from tests.serving.music.test_midi_import import PNG, REFUSED, SONG
from tests.serving.servers import Server

JIG = [67, 69, 71, 67, 71, 74, 79, 74, 71, 69, 66, 62, 67, 69, 71, 67, 71, 74, 76, 74, 71, 69, 66, 67]
"""Four bars in 6/8, in G Major."""
SIGNED = midi([MetaMessage("time_signature", numerator=6, denominator=8), *melody(JIG)])
MIDI = {"content-type": "audio/midi"}


def read(server: Server, content: bytes, **query: str) -> dict[str, Any]:
    answer = server.client.post("/tunes/from-midi", content=content, headers=MIDI, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_melody_is_gone_on_from(server: Server) -> None:
    found = read(server, SIGNED)
    assert (found["key"], found["metre"], found["unit"], found["notes"]) == ("G Major", "6/8", "1/8", 24)
    assert found["assumed"] == [
        "Metre 6/8: the file's time signature.",
        "Key G Major: estimated from how long each pitch sounds.",
    ]
    assert found["model"]["promoted"] is True
    asked = {name: found[name] for name in ("start", "key", "metre")}
    made = server.client.post("/generate", json={**asked, "seed": 1, "temperature": 0.5})
    assert made.status_code == 200, made.text
    (tune,) = made.json()["tunes"]
    assert check(tune["abc"]) == []
    assert f"K:G Major\n{found['start']}" in tune["abc"]
    assert len(tune["abc"]) > len(found["abc"])


def test_a_start_that_ends_within_a_bar_is_gone_on_from(server: Server) -> None:
    found = read(server, midi(melody(JIG[:9])), key="G Major", metre="6/8")
    assert found["start"] == "GAB GBd|gdB"
    assert found["assumed"] == ["The last bar is not full: a tune goes on within it."]
    made = server.client.post("/generate", json={"start": "GAB GBd|gdB", "key": "G Major", "metre": "6/8", "seed": 2})
    assert made.status_code == 200, made.text
    assert "\nGAB GBd|gdB" in made.json()["tunes"][0]["abc"]


def test_the_whole_tune_can_be_heard_and_comes_back(server: Server) -> None:
    sound = server.client.post("/tunes/midi", json={"abc": EXAMPLE_TUNE})
    found = read(server, sound.content)
    assert (found["key"], found["metre"]) == ("D Major", "C")
    again = read(server, server.client.post("/tunes/midi", json={"abc": found["abc"]}).content)
    assert again["start"] == found["start"]


def test_a_form_carries_the_file_too(server: Server) -> None:
    answer = server.client.post("/tunes/from-midi", files={"file": ("tune.mid", SIGNED, "audio/midi")})
    assert answer.json()["start"] == read(server, SIGNED)["start"]


def test_key_and_metre_can_be_given(server: Server) -> None:
    found = read(server, SIGNED, key="E Minor", metre="C")
    assert (found["key"], found["metre"], found["assumed"]) == ("E Minor", "C", [])


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"metre": "12/8"}, "metre", "'6/8'"),
        ({"key": "H Major"}, "key", "pattern"),
        ({"key": "A# Major"}, "key", "more than seven sharps or flats"),
        ({"type": "jig"}, "type", "not permitted"),
    ],
)
def test_a_wrong_field_of_the_query_is_named(server: Server, query: dict[str, str], field: str, words: str) -> None:
    answer = server.client.post("/tunes/from-midi", content=SIGNED, headers=MIDI, params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert words in answer.json()["errors"][0]["reason"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_melody_is_a_problem_that_says_so(server: Server, name: str) -> None:
    content, status, words = REFUSED[name]
    answer = server.client.post("/tunes/from-midi", content=content, headers=MIDI)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_ten_megabytes_are_refused_unread(server: Server) -> None:
    answer = server.client.post("/tunes/from-midi", content=SIGNED + bytes(10_000_000), headers=MIDI)
    assert answer.status_code == 413
    assert "larger than 65,536 bytes" in answer.json()["detail"]


def test_forms_without_a_midi_file_are_refused(server: Server) -> None:
    for files, status, words in (
        ({"file": ("a.png", PNG)}, 415, "no MIDI file"),
        ({"file": (None, "http://127.0.0.1/tune.mid")}, 422, "no address is fetched: send the file itself"),
        ([("file", ("a.mid", SIGNED)), ("file", ("b.mid", SIGNED))], 422, "at most 1 MIDI file here"),
    ):
        answer = server.client.post("/tunes/from-midi", files=files)
        assert answer.status_code == status
        assert words in answer.json()["detail"]


def test_a_melody_that_is_too_long_for_a_start_is_refused(server: Server) -> None:
    limit = server.client.get("/info").json()["limits"]["max_start"]
    long = midi([MetaMessage("set_tempo", tempo=125_000), *melody(SONG * (limit // 16), 120)])
    assert len(long) < 65_536, "the file itself is taken"
    answer = server.client.post("/tunes/from-midi", content=long, headers=MIDI)
    assert answer.status_code == 422
    assert f"a start may have {limit:,} at most" in answer.json()["detail"]


def test_a_refusal_says_nothing_of_the_file_in_the_log(server: Server) -> None:
    secret = midi([MetaMessage("track_name", name="MySecretMelody"), *melody([20])])
    assert server.client.post("/tunes/from-midi", content=secret, headers=MIDI).status_code == 422
    assert "MySecretMelody" not in server.log()

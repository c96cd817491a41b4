"""Starts of tunes of another collection are noticed over HTTP; those of held-out tunes are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from components.datasets.music.reader import read_texts
from components.labs.music.features import KEY, MELODY
from tests.serving.servers import Server, serving

WINDOW = 150
MUSIC_LINES = 3


@pytest.fixture(scope="module")
def server(promoted_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its references are of training tunes."""
    with serving("music", promoted_bundle, tmp_path_factory.mktemp("drift"), drift_window=WINDOW) as running:
        yield running


def start(tune: str) -> str:
    """A tune's header and its first lines of music."""
    header, key, music = re.split(r"(?m)^(K:.*\n)", tune, maxsplit=1)
    return header + key + "\n".join(music.split("\n")[:MUSIC_LINES])


def airs() -> list[str]:
    """Tunes of Aird's Airs (Glasgow, 1782 to 1801), which music21's package carries."""
    package = find_spec("music21")
    assert package is not None
    assert package.origin is not None
    books = sorted((Path(package.origin).parent / "corpus" / "airdsAirs").glob("*.abc"))
    text = "\n".join(book.read_text(encoding="latin-1").replace("\r\n", "\n") for book in books)
    tunes = ["X:" + tune.strip() for tune in re.split(r"(?m)^X:", text)[1:]]
    return [tune for tune in tunes if re.search(r"(?m)^K:.*\n[^%\n]", tune)]


def go_on(server: Server, tunes: Iterable[str]) -> dict[str, Any]:
    """What /drift says of the features once WINDOW of the tunes' starts were taken; the server may refuse some."""
    taken = 0
    for tune in tunes:
        asked = {"start": start(tune), "max_length": 1, "valid_only": False}
        taken += server.client.post("/generate", json=asked).status_code == 200
        features: dict[str, Any] = server.client.get("/drift").json()["features"]
        if features["evenness"]["waiting"] == 0 and taken >= WINDOW:
            return features
    raise AssertionError(f"{taken} starts were taken")


def test_starts_of_another_collection_drift_and_held_out_ones_do_not(server: Server, prepared_music: Path) -> None:
    held_out = [*read_texts(prepared_music, "validation"), *read_texts(prepared_music, "test")]
    usual = go_on(server, held_out)
    assert {name: usual[name]["verdict"] for name in (KEY, *MELODY)} == dict.fromkeys((KEY, *MELODY), "usual")
    assert {usual[name]["verdict"] for name in ("start_length", "temperature")} == {"not compared"}
    others = go_on(server, airs())
    assert others["evenness"]["verdict"] == "drifted"
    assert server.metric('drift_windows_total{feature="evenness",verdict="drifted"}') == 1


def test_a_request_without_a_start_counts_by_what_it_asks_for(server: Server) -> None:
    def waiting() -> dict[str, int]:
        found = server.client.get("/drift").json()["features"]
        return {name: feature["waiting"] for name, feature in found.items()}

    before = waiting()
    asked = {"key": "G Major", "temperature": 0.5, "max_length": 1, "valid_only": False}
    assert server.client.post("/generate", json=asked).status_code == 200
    assert server.client.post("/stream", json=asked).status_code == 200
    assert server.client.post("/generate", json={"temperature": 99.0}).status_code == 422
    after = waiting()
    grown = {name for name in after if after[name] != before[name]}
    assert grown == {KEY, "temperature"}
    assert after["temperature"] in (before["temperature"] + 2, before["temperature"] + 2 - WINDOW)

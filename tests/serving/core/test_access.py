"""API keys and quotas: off unless a file of hashes is named, read again when it changes, and told to nobody."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.errors import UserError
from components.settings import settings
from serving.core.access import Access, read_keys
from serving.core.problems import RefusalError
from tests.serving.servers import PROJECT, Server, command, params_of, running, write_params

KEY, OTHER, NEW = "key-of-the-page", "key-of-the-tests", "key-that-comes-later"
BURST = 5


class Guarded:
    """A server that asks for keys, and the file of their hashes."""

    def __init__(self, server: Server, keys: Path) -> None:
        self.server = server
        self.keys = keys

    def get(self, key: str = "", path: str = "/info", **headers: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {key}"} if key else {}
        return self.server.client.get(path, headers=bearer | headers)


@pytest.fixture(scope="module")
def guarded(generation_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys"
    write(keys, page=KEY, tests=OTHER)
    params = write_params(folder, client_rate=0.0001, client_burst=BURST)
    options = ("--params", str(params), "--allow-unpromoted")
    arguments = command("digit_generation", generation_bundle, 0, *options)
    with running(arguments, folder, environment={"SERVE_API_KEYS": str(keys)}) as server:
        yield Guarded(server, keys)


def write(path: Path, **keys: str) -> None:
    """As Kubernetes does: another file takes the place of the old one."""
    lines = [f"{client}={hashlib.sha256(key.encode()).hexdigest()}" for client, key in keys.items()]
    new = path.with_suffix(".new")
    new.write_text("# client=SHA-256 of its key\n" + "\n".join(lines) + "\n")
    new.replace(path)


@pytest.mark.parametrize("path", ["/info", "/samples?seed=1&count=1", "/", "/docs.json", "/static/shared/page.css"])
def test_without_a_key_nothing_is_answered(guarded: Guarded, path: str) -> None:
    for key in ("", "wrong", KEY + "x", hashlib.sha256(KEY.encode()).hexdigest()):
        answer = guarded.get(key, path)
        assert answer.status_code == 401
        assert answer.json()["status"] == 401
        assert "Bearer" in answer.headers["www-authenticate"]


def test_probes_and_scrapers_need_no_key(guarded: Guarded) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert guarded.get(path=path).status_code == 200


def test_a_browser_sends_the_key_as_a_password(guarded: Guarded) -> None:
    basic = httpx.BasicAuth("anybody", KEY)
    assert guarded.server.client.get("/", auth=basic).status_code == 200
    assert "Basic" in guarded.get(path="/").headers["www-authenticate"]
    for damaged in ("Basic", "Basic !", "Basic YQ==", "Digest x"):
        assert guarded.get(path="/", authorization=damaged).status_code == 401


def test_a_body_without_a_key_is_not_read(guarded: Guarded) -> None:
    answer = guarded.server.client.post("/samples", content=bytes(500_000))
    assert answer.status_code == 401


def test_keys_change_without_a_restart(guarded: Guarded) -> None:
    assert guarded.get(NEW, "/").status_code == 401
    write(guarded.keys, page=KEY, tests=OTHER, later=NEW)
    assert guarded.get(NEW, "/").status_code == 200
    write(guarded.keys, page=KEY, later=NEW)
    assert guarded.get(OTHER, "/").status_code == 401, "it was withdrawn"
    guarded.keys.write_text("a line that is none")
    assert guarded.get(KEY, "/").status_code == 200, "a damaged file withdraws nothing"
    guarded.server.wait_for_log("the API keys before go on counting")
    write(guarded.keys, page=KEY, tests=OTHER)
    assert guarded.get(NEW, "/").status_code == 401


def test_a_client_over_its_quota_is_told_to_come_back_and_others_are_not(guarded: Guarded) -> None:
    statuses = [guarded.get(OTHER).status_code for _ in range(BURST + 2)]
    assert statuses == BURST * [200] + 2 * [429]
    refused = guarded.get(OTHER)
    assert int(refused.headers["retry-after"]) > 1000
    assert refused.headers["content-type"] == "application/problem+json"
    assert guarded.get(OTHER, "/").status_code == 200, "the page itself costs nothing"
    assert guarded.get(KEY).status_code == 200


def test_neither_logs_nor_metrics_hold_a_key(guarded: Guarded) -> None:
    answer = guarded.get(KEY, "/")
    guarded.get("sesame")
    guarded.server.wait_for_log(answer.headers["x-request-id"])
    metrics = guarded.get(path="/metrics").text
    assert 'http_clients_total{client="page",outcome="admitted"}' in metrics
    assert 'http_clients_total{client="",outcome="no key"}' in metrics
    (logged,) = [line for line in guarded.server.log().splitlines() if answer.headers["x-request-id"] in line]
    assert json.loads(logged)["client"] == "page"
    told = metrics + guarded.server.log() + answer.text
    hashes = [hashlib.sha256(key.encode()).hexdigest() for key in (KEY, OTHER, NEW)]
    assert not any(secret in told for secret in (KEY, OTHER, NEW, "sesame", *hashes))


def test_tokens_come_back_at_their_rate_and_no_more_than_the_burst(tmp_path: Path) -> None:
    write(tmp_path / "keys", page=KEY)
    now = 0.0
    access = Access(tmp_path / "keys", rate=2.0, burst=3, clock=lambda: now)

    def taken(times: int) -> int:
        done = 0
        for _ in range(times):
            try:
                access.take("page")
                done += 1
            except RefusalError as refusal:
                assert refusal.status == 429
                assert refusal.headers["retry-after"] == "1"
        return done

    assert taken(10) == 3
    now = 1.0
    assert taken(10) == 2
    now = 1000.0
    assert taken(10) == 3


@pytest.mark.parametrize("content", [None, b"page", b"page=" + 64 * b"x", b"a b=" + 64 * b"0", b"\xff\xfe"])
def test_a_file_of_keys_that_cannot_be_read_stops_the_start(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(UserError) as error:
        Access(tmp_path / "keys", 1.0, 1)
    assert str(tmp_path / "keys") in str(error.value)
    assert "\n" not in str(error.value)


def test_lines_of_keys_may_be_comments_and_the_number_of_a_wrong_one_is_said(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    lines = ["# clients", "", f"page={'0' * 64}", f"  page={'1' * 64}  ", f"tests={'2' * 64}"]
    path.write_text("\n".join(lines))
    assert read_keys(path) == {"0" * 64: "page", "1" * 64: "page", "2" * 64: "tests"}
    path.write_text("\n".join([*lines, "page=sesame"]))
    with pytest.raises(UserError, match="line 6: write <client>=") as error:
        read_keys(path)
    assert "sesame" not in str(error.value)


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        (b"Bearer key-of-the-page", "page"),
        (b"bEARER   key-of-the-page ", "page"),
        (b"Basic " + base64.b64encode(b"anybody:key-of-the-page"), "page"),
        (b"basic " + base64.b64encode(b":key-of-the-page"), "page"),
        (b"Basic " + base64.b64encode(b"key-of-the-page"), None),
        (b"Basic " + base64.b64encode(b"key-of-the-page:x"), None),
        (b"Basic key-of-the-page", None),
        (b"Digest key-of-the-page", None),
        (b"key-of-the-page", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearer key-of-the-tests", None),
        (None, None),
    ],
)
def test_a_key_is_sent_as_a_bearer_token_or_a_password(sent: bytes | None, client: str | None, tmp_path: Path) -> None:
    write(tmp_path / "keys", page=KEY)
    with (tmp_path / "keys").open("a") as file:  # no key has this hash
        file.write(f"nobody={hashlib.sha256(b'').hexdigest()}\n")
    access = Access(tmp_path / "keys", rate=1.0, burst=1)
    headers = {b"authorization": sent} if sent is not None else {}
    if client:
        assert access.client(headers) == client
        return
    with pytest.raises(RefusalError) as refused:
        access.client(headers)
    assert refused.value.status == 401
    assert "Bearer" in refused.value.headers["www-authenticate"]


def test_a_file_of_keys_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys"
    write(path, page=KEY)
    access = Access(path, rate=1.0, burst=1)
    later = {b"authorization": b"Bearer " + NEW.encode()}
    with pytest.raises(RefusalError):
        access.client(later)
    write(path, page=KEY, later=NEW)
    assert access.client(later) == "later"
    path.unlink()
    assert access.client(later) == "later", "a missing file withdraws nothing"
    assert "the API keys before go on counting" in caplog.text
    write(path, page=KEY)
    with pytest.raises(RefusalError):
        access.client(later)


def test_how_long_a_client_without_tokens_waits_is_the_time_of_one(tmp_path: Path) -> None:
    write(tmp_path / "keys", page=KEY)
    now = 0.0
    access = Access(tmp_path / "keys", rate=0.1, burst=1, clock=lambda: now)
    access.take("page")
    for now, seconds in ((0.0, "10"), (4.0, "6"), (9.5, "1")):  # noqa: B007 - the clock reads it
        with pytest.raises(RefusalError, match=r"more than 0\.1 requests a second") as refused:
            access.take("page")
        assert refused.value.headers["retry-after"] == seconds
    access.take("tests")
    now = 10.0
    access.take("page")


def test_keys_are_asked_for_where_a_file_of_keys_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = params_of("music").serve
    settings.cache_clear()
    assert Access.of(limits) is None
    write(tmp_path / "keys", page=KEY)
    monkeypatch.setenv("SERVE_API_KEYS", str(tmp_path / "keys"))
    settings.cache_clear()
    access = Access.of(limits)
    monkeypatch.delenv("SERVE_API_KEYS")
    settings.cache_clear()
    assert access
    for _ in range(limits.client_burst):
        access.take("page")
    with pytest.raises(RefusalError, match=f"more than {limits.client_rate:g} requests"):
        access.take("page")


def test_a_name_that_is_none_gets_no_key_drawn() -> None:
    for name in ("a b", "a=b", "", "a" * 65):
        draw = [sys.executable, "-m", "serving.core.access", "--", name]
        done = subprocess.run(draw, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")


def test_a_key_that_is_drawn_opens_the_server_that_has_its_line(tmp_path: Path) -> None:
    draw = [sys.executable, "-m", "serving.core.access", "page"]
    done = subprocess.run(draw, cwd=PROJECT, capture_output=True, text=True, check=True)
    key, line = done.stdout.splitlines()
    (tmp_path / "keys").write_text(line)
    assert key not in line
    assert read_keys(tmp_path / "keys") == {hashlib.sha256(key.encode()).hexdigest(): "page"}
    assert Access(tmp_path / "keys", 1.0, 1).client({b"authorization": b"Bearer " + key.encode()}) == "page"

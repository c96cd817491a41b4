"""The fetch step: profiles, labs, and a fallback that nobody can overlook."""

import hashlib
import logging
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from filelock import FileLock

from components.errors import UserError
from components.settings import settings
from components.sources import download, pin
from components.sources.catalogue import SourceFile
from components.sources.fetch import WORK_FOLDER
from components.steps.fetch import fetch

PROJECT = Path(__file__).resolve().parents[3]
PARAMS = "# numbers\ndata:\n  folder: data  # the profile\nmusic:\n  layers: 2  # keep\n"
TUNES, DIGITS = b"X:1\nT:real\n", b"digits"


def declare(dataset: str, content: bytes, profiles: list[str], url: str) -> SourceFile:
    return SourceFile.model_validate(
        {
            "dataset": dataset,
            "path": f"{dataset}.txt",
            "profiles": profiles,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "licence": "ours",
            "from": [{"kind": "file", "url": url}],
        }
    )


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A mirror with the starter's files; upstream refuses connections. Two sets in the course profile, one in both."""
    folder = tmp_path / "mirror"
    put(folder / "music/music.txt", TUNES)
    monkeypatch.setenv("DATA_MIRROR", str(folder))
    settings.cache_clear()
    download._probe.cache_clear()  # what was said of a port is not said of its next owner
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
        files = (
            declare("music", TUNES, ["course", "starter"], nowhere),
            declare("mnist", DIGITS, ["course"], nowhere),
        )
        for module in ("components.steps.fetch", "components.sources.pin"):
            monkeypatch.setattr(f"{module}.declared", lambda: files)
        yield folder
    settings.cache_clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    put(root / "params.yaml", PARAMS.encode())
    return root


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_the_course_profile_is_brought_whole(root: Path, mirror: Path) -> None:
    put(mirror / "mnist/mnist.txt", DIGITS)

    report = fetch((), None, root)

    assert (report.profile, report.folder, report.fallback) == ("course", root / "data", None)
    assert (root / "data/music/music.txt").read_bytes() == TUNES
    assert (root / "data/mnist/mnist.txt").read_bytes() == DIGITS
    assert (root / "params.yaml").read_text() == PARAMS
    assert set(fetch((), None, root).files.values()) == {"already there"}


def test_a_lab_brings_its_own_datasets_only(root: Path) -> None:
    report = fetch(["music"], None, root)

    assert list(report.files) == ["music/music.txt"]
    assert not (root / "data/mnist").exists()


def test_an_unknown_lab_names_the_nearest(root: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'music'"):
        fetch(["musik"], None, root)


def test_what_cannot_be_had_complete_falls_back_loudly(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        report = fetch((), None, root)

    assert (report.profile, report.folder) == ("starter", root / "data.starter")
    assert (root / "data.starter/music/music.txt").read_bytes() == TUNES
    assert (root / "params.yaml").read_text() == PARAMS.replace("folder: data ", "folder: data.starter ")
    message = caplog.records[-1].getMessage()
    assert message.count("+----") == 2
    for said in ("FALLING BACK", "mnist/mnist.txt", "connection refused", "data.folder", "fetch --profile course"):
        assert said in " ".join(message.replace("|", " ").split())
    assert report.fallback is not None


def test_after_a_fallback_the_way_back_is_to_ask_for_the_course(root: Path, mirror: Path) -> None:
    fetch((), None, root)
    assert fetch((), None, root).profile == "starter"
    put(mirror / "mnist/mnist.txt", DIGITS)

    assert fetch((), "course", root).profile == "course"

    assert (root / "params.yaml").read_text() == PARAMS


def test_a_profile_that_was_asked_for_is_brought_or_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match=r"mnist/mnist\.txt"):
        fetch((), "course", root)

    assert not (root / "data.starter").exists()
    assert (root / "params.yaml").read_text() == PARAMS


def test_nothing_to_be_had_names_both_profiles(root: Path, mirror: Path) -> None:
    (mirror / "music/music.txt").unlink()

    with pytest.raises(UserError, match=r"no data can be had; course: .*; starter: "):
        fetch((), None, root)

    assert (root / "params.yaml").read_text() == PARAMS


def test_a_mirror_that_is_not_there_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DATA_MIRROR", "/no/such/mirror")
    settings.cache_clear()

    with pytest.raises(UserError, match="no data can be had"):
        fetch((), None, root)

    assert "/no/such/mirror, which is no folder" in caplog.text


def test_a_wrong_hash_is_an_error_and_no_reason_to_fall_back(root: Path, mirror: Path) -> None:
    put(mirror / "mnist/mnist.txt", b"wrong")

    with pytest.raises(UserError, match=hashlib.sha256(DIGITS).hexdigest()):
        fetch((), None, root)

    assert not (root / "data.starter").exists()


def test_data_that_was_accepted_on_purpose_is_left_alone(root: Path, mirror: Path) -> None:
    put(mirror / "mnist/mnist.txt", DIGITS)
    fetch((), None, root)
    put(root / "data/music/music.txt", b"X:1\nT:another version\n")
    with pytest.raises(UserError, match="accept-data"):
        fetch((), None, root)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for name in (".dvc/config", ".dvcignore"):
        put(root / name, (PROJECT / name).read_bytes())
    pin.accept_data(root, "data")

    assert set(fetch((), None, root).files.values()) == {"already there"}
    assert b"another" in (root / "data/music/music.txt").read_bytes()


def test_two_fetches_take_turns(root: Path, mirror: Path) -> None:
    put(mirror / "mnist/mnist.txt", DIGITS)
    (root / "data" / WORK_FOLDER).mkdir(parents=True)
    reports: list[Any] = []
    second = Thread(target=lambda: reports.append(fetch((), None, root)))

    with FileLock(root / "data" / WORK_FOLDER / "lock"):
        second.start()
        second.join(timeout=0.3)
        assert not (root / "data/music").exists()
    second.join(timeout=600)

    assert reports[0].profile == "course"


def test_a_data_folder_that_cannot_be_made_is_one_line(root: Path) -> None:
    (root / "data").write_text("a file is in the way")

    with pytest.raises(UserError, match="cannot write to"):
        fetch((), "course", root)


def test_a_disk_that_is_full_is_one_line_and_leaves_no_data(root: Path, mirror: Path) -> None:
    put(mirror / "mnist/mnist.txt", DIGITS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(DIGITS) + 1, limits[1]))  # enough for one file, not for the other
    try:
        with pytest.raises(UserError, match="cannot write to"):
            fetch((), "course", root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not (root / "data/music/music.txt").exists()
    assert set(fetch((), "course", root).files) == {"music/music.txt", "mnist/mnist.txt"}

"""The pin: what differs is named before `dvc repro` would rewrite data.dvc without a word."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.errors import UserError
from components.sources import pin
from components.sources.fetch import WORK_FOLDER

PROJECT = Path(__file__).resolve().parents[3]
FILES = {
    "music/irish.abc": b"X:1\n",
    "a-b/c.txt": b"sorts before a/b",
    "a/b.txt": b"",
    "a b/\u00e9.txt": b"not ASCII",
    "B.txt": b"capital",
}


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data/ was pinned by DVC itself, committed to git."""
    root = tmp_path_factory.mktemp("project")
    for name, content in FILES.items():
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / name).write_bytes(content)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        shutil.copy(PROJECT / name, root / name)
    pin.accept_data(root, "data")
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-qm", "pinned"], cwd=root, check=True)
    return root


@pytest.fixture
def root(pinned: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pinned, tmp_path / "project")


def test_data_that_matches_its_pin_passes(root: Path) -> None:
    (root / "data" / WORK_FOLDER).mkdir()
    (root / "data" / WORK_FOLDER / "half.part").write_bytes(b"a download that waits to be continued")

    pin.check_pin(root, "data")


def test_every_difference_is_named(root: Path) -> None:
    (root / "data/music/irish.abc").write_bytes(b"X:2\n")
    (root / "data/a/b.txt").unlink()
    (root / "data/new.txt").write_bytes(b"")

    with pytest.raises(UserError) as error:
        pin.check_pin(root, "data")

    assert "changed music/irish.abc; missing a/b.txt; extra new.txt" in str(error.value)
    assert "accept-data" in str(error.value)
    assert "\n" not in str(error.value)


def test_many_differences_are_counted(root: Path) -> None:
    for number in range(40):
        (root / f"data/{number:02}.txt").write_bytes(b"")

    with pytest.raises(UserError, match=r"extra 00\.txt, 01\.txt, 02\.txt, 03\.txt, 04\.txt and 35 more"):
        pin.check_pin(root, "data")


def test_no_data_at_all_is_every_file_missing(root: Path) -> None:
    shutil.rmtree(root / "data")

    with pytest.raises(UserError, match="missing"):
        pin.check_pin(root, "data")


def test_without_a_cache_files_are_named_by_their_declared_hashes(tmp_path: Path) -> None:
    """The first check in a clone: only sources.toml knows what data.dvc's single hash stands for."""
    if not (PROJECT / "data.starter/music/irish.abc").exists():
        pytest.skip("needs `python -m components fetch --profile starter`")
    shutil.copy(PROJECT / "data.starter.dvc", tmp_path)
    shutil.copytree(PROJECT / "data.starter", tmp_path / "data.starter")
    pin.check_pin(tmp_path, "data.starter")
    (tmp_path / "data.starter/music/irish.abc").write_bytes(b"")

    with pytest.raises(UserError, match=r"pins: changed music/irish\.abc;"):
        pin.check_pin(tmp_path, "data.starter")


def test_accepting_data_rewrites_the_pin_as_dvc_would(root: Path) -> None:
    old = (root / "data.dvc").read_text()
    (root / "data/music/irish.abc").write_bytes(b"X:2\n")

    digest = pin.accept_data(root, "data")

    assert (root / "data.dvc").read_text() != old
    assert digest == yaml.safe_load((root / "data.dvc").read_text())["outs"][0]["md5"]
    assert digest == pin.digest(pin.listing(root / "data"))
    pin.check_pin(root, "data")


def test_nothing_is_not_accepted(root: Path) -> None:
    shutil.rmtree(root / "data")

    with pytest.raises(UserError, match="nothing to pin"):
        pin.accept_data(root, "data")


def test_in_a_fresh_clone_the_same_data_is_no_change_to_dvc(pinned: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(pinned), str(clone)], check=True)
    shutil.copytree(pinned / "data", clone / "data")

    pin.cache_pinned(clone, "data")

    assert "up to date" in dvc(clone, "status")
    assert subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, check=True).stdout == b""


def test_dvc_keeps_what_it_pickles_where_nobody_else_writes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "data/new.txt").write_bytes(b"")
    monkeypatch.chdir(root)
    pin.accept_data(Path(), "data")  # the project was copied: its settings named the old place

    site = root / ".dvc/tmp/site"
    assert str(site) in (root / ".dvc/config.local").read_text()
    assert any((site / "repo").iterdir())
    for private in (root / ".dvc/cache", root / ".dvc/tmp", site):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "outs: []\n", "outs:\n- path: data\n", "a: [", "outs: 3\n"])
def test_a_broken_pin_is_one_line(root: Path, text: str) -> None:
    (root / "data.dvc").write_text(text)

    with pytest.raises(UserError, match="restore it from git"):
        pin.check_pin(root, "data")


def test_a_missing_pin_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.dvc is missing"):
        pin.check_pin(tmp_path, "data")

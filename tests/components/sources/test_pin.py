"""The pin: an entry a dataset, and what differs from it is named before anything is rewritten without a word."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components.errors import UserError
from components.settings import project_root, settings
from components.sources import pin
from components.sources.catalogue import raw_folder
from components.sources.fetch import WORK_FOLDER
from components.sources.version import bring_version

PROJECT = project_root()
FILES = {
    "irish.abc": b"X:1\n",
    "a-b/c.txt": b"sorts before a/b",
    "a/b.txt": b"",
    "a b/\u00e9.txt": b"not ASCII",
    "B.txt": b"capital",
}
DIGITS = {"mnist/one.gz": b"1"}
STARTER = raw_folder("digits", "starter")


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def entries(root: Path) -> dict[str, str]:
    return {out["path"]: out["md5"] for out in yaml.safe_load((root / pin.PIN).read_text())["outs"]}


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two datasets and one's starter data, all in DVC's cache, its pin committed to git."""
    root = tmp_path_factory.mktemp("project")
    for folder, files in (("data/music", FILES), ("data/digits", DIGITS), (STARTER, DIGITS)):
        for name, content in files.items():
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).write_bytes(content)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(PROJECT / name, root / name)
    pin.accept_data(root, "music", "course")
    pin.accept_data(root, "digits", "course")
    pin.accept_data(root, "digits", "starter")
    pin.cache_pinned(root)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-qm", "pinned"], cwd=root, check=True)
    return root


@pytest.fixture
def root(pinned: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pinned, tmp_path / "project")


def test_data_that_matches_its_pin_passes(root: Path) -> None:
    (root / WORK_FOLDER).mkdir()
    (root / WORK_FOLDER / "half.part").write_bytes(b"a download that waits to be continued")

    pin.check_pin(root, "music", "course")
    pin.check_pin(root, "digits", "course")
    pin.check_pin(root, "digits", "starter")


def test_every_difference_is_named(root: Path) -> None:
    (root / "data/music/irish.abc").write_bytes(b"X:2\n")
    (root / "data/music/a/b.txt").unlink()
    (root / "data/music/new.txt").write_bytes(b"")

    with pytest.raises(UserError) as error:
        pin.check_pin(root, "music", "course")

    assert "changed irish.abc; missing a/b.txt; extra new.txt" in str(error.value)
    assert "accept-data music" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_dataset_that_changed_is_no_change_of_another(root: Path) -> None:
    before = entries(root)
    (root / "data/digits/more.gz").write_bytes(b"2")
    (root / STARTER / "more.gz").write_bytes(b"2")

    pin.check_pin(root, "music", "course")
    for profile in ("course", "starter"):
        with pytest.raises(UserError, match=r"extra more\.gz"):
            pin.check_pin(root, "digits", profile)

    version = pin.accept_data(root, "digits", "course")
    assert version != before["data/digits"]
    assert entries(root) == before | {"data/digits": version}
    assert pin.dataset_version(root, "music", "course") == before["data/music"]
    assert pin.dataset_version(root, "digits", "starter") == before[STARTER.as_posix()]


def test_many_differences_are_counted(root: Path) -> None:
    for number in range(40):
        (root / f"data/music/{number:02}.txt").write_bytes(b"")

    with pytest.raises(UserError, match=r"extra 00\.txt, 01\.txt, 02\.txt, 03\.txt, 04\.txt and 35 more"):
        pin.check_pin(root, "music", "course")


def test_no_data_at_all_is_every_file_missing(root: Path) -> None:
    shutil.rmtree(root / "data")

    with pytest.raises(UserError, match="missing"):
        pin.check_pin(root, "music", "course")


def test_without_a_cache_files_are_named_by_their_declared_hashes(tmp_path: Path) -> None:
    """The first check in a clone: only sources.toml knows what the one hash of an entry stands for."""
    if not (PROJECT / "data/music/irish.abc").exists():
        pytest.skip("needs `python -m components fetch music`")
    shutil.copy(PROJECT / pin.PIN, tmp_path)
    shutil.copytree(PROJECT / "data/music", tmp_path / "data/music")
    pin.check_pin(tmp_path, "music", "course")
    (tmp_path / "data/music/irish.abc").write_bytes(b"")

    with pytest.raises(UserError, match=r"pins: changed irish\.abc;"):
        pin.check_pin(tmp_path, "music", "course")


def test_accepting_data_rewrites_its_entry_as_dvc_would(root: Path) -> None:
    (root / "data/music/irish.abc").write_bytes(b"X:2\n")

    version = pin.accept_data(root, "music", "course")

    assert version == entries(root)["data/music"] == pin.digest(pin.listing(root / "data/music"))
    pin.check_pin(root, "music", "course")
    ours = (root / pin.PIN).read_text()
    pin.dvc(root, "commit", "--quiet", "--force", pin.PIN)
    assert yaml.safe_load((root / pin.PIN).read_text()) == yaml.safe_load(ours)


def test_nothing_is_not_accepted(root: Path) -> None:
    before = (root / pin.PIN).read_bytes()
    shutil.rmtree(root / "data/music")

    with pytest.raises(UserError, match="nothing to pin"):
        pin.accept_data(root, "music", "course")

    assert (root / pin.PIN).read_bytes() == before


def test_the_first_data_that_is_accepted_makes_the_pin(root: Path) -> None:
    (root / pin.PIN).unlink()

    version = pin.accept_data(root, "digits", "starter")

    assert entries(root) == {STARTER.as_posix(): version}


def test_in_a_fresh_clone_the_same_data_is_no_change_to_dvc(pinned: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(pinned), str(clone)], check=True)
    shutil.copytree(pinned / "data", clone / "data")

    pin.cache_pinned(clone)

    assert "up to date" in dvc(clone, "status")
    assert subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, check=True).stdout == b""


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _change(folder: Path) -> None:
    (folder / "mnist/one.gz").write_bytes(b"another one")


@pytest.mark.parametrize("happens", [_remove, _empty, _change])
def test_data_that_is_not_as_it_is_pinned_is_not_pinned_in_passing(root: Path, happens: Callable[[Path], None]) -> None:
    """As where one lab's data alone was fetched: DVC would take what it finds of the others for a new version."""
    before = (root / pin.PIN).read_bytes()
    happens(root / "data/digits")
    shutil.rmtree(root / ".dvc/cache")

    pin.cache_pinned(root)

    assert (root / pin.PIN).read_bytes() == before
    cached = {path.parent.name + path.name for path in (root / ".dvc/cache/files/md5").rglob("*.dir")}
    pinned = pin.entries(root / pin.PIN)
    assert pinned["data/music"] in cached
    assert cached <= set(pinned.values()), "what digits is now is not cached"


def test_dvc_keeps_what_it_pickles_where_nobody_else_writes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "data/music/new.txt").write_bytes(b"")
    monkeypatch.chdir(root)
    pin.accept_data(Path(), "music", "course")
    pin.cache_pinned(Path())  # the project was copied: its settings named the old place

    site = root / ".dvc/tmp/site"
    assert str(site) in (root / ".dvc/config.local").read_text()
    assert any((site / "repo").iterdir())
    for private in (root / ".dvc/cache", root / ".dvc/tmp", site):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700


def flip(path: Path) -> None:
    """Changes one bit of a file that DVC keeps read-only."""
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    path.chmod(0o444)


def test_a_changed_file_of_the_local_cache_never_becomes_data(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where DVC puts it back, nor where a local pipeline brings the version from that cache."""
    version = entries(root)["data/music"]
    cached = root / ".dvc/cache/files/md5"
    md5 = pin.listing(root / "data/music")["irish.abc"]
    shutil.rmtree(root / "data/music")
    flip(cached / md5[:2] / md5[2:])
    shutil.rmtree(root / ".dvc/tmp", ignore_errors=True)  # what DVC remembers of files that it has looked at
    subprocess.run([sys.executable, "-m", "dvc", "checkout", pin.PIN], cwd=root, capture_output=True, check=False)
    with pytest.raises(UserError, match=r"is not what data\.dvc pins.*irish\.abc"):
        pin.check_pin(root, "music", "course")
    assert not pin.is_pinned(root, "music", "course")

    if not (cached / md5[:2] / md5[2:]).exists():  # DVC removes what it finds damaged
        (cached / md5[:2] / md5[2:]).write_bytes(b"Y:1\n")
    monkeypatch.setenv("DATA_REMOTE", str(root / ".dvc/cache"))
    settings.cache_clear()
    with pytest.raises(UserError):
        bring_version(tmp_path / "elsewhere", "music", "course", version)
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize("text", ["", "outs:\n- path: data/music\n", "a: [", "outs: 3\n", "\x00"])
def test_a_broken_pin_is_one_line(root: Path, text: str) -> None:
    (root / pin.PIN).write_text(text)

    with pytest.raises(UserError, match="restore it from git") as error:
        pin.check_pin(root, "music", "course")

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["outs: []\n", "outs: [{md5: aaaa.dir, path: data/digits}]\n"])
def test_a_pin_without_an_entry_of_the_dataset_says_what_makes_it(root: Path, text: str) -> None:
    (root / pin.PIN).write_text(text)

    with pytest.raises(UserError, match=r"no entry for data/music: .*accept-data music"):
        pin.check_pin(root, "music", "course")


def test_a_missing_pin_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.dvc is missing"):
        pin.check_pin(tmp_path, "music", "course")

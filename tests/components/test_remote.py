"""The DVC remote: where it is written down, and what is said where nothing can be pulled.

tests/test_graph_reference_model.py pulls real models, tests/infra/test_stack.py from an S3 store.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import UserError
from components.remote import configure, configured, pull

GRAPH = """
stages:
  export:
    foreach: [music]
    do:
      cmd: mkdir -p build/${item}/export
      outs:
        - build/${item}/export: {persist: true}
  gate:
    foreach: [music]
    do:
      cmd: python -m components gate ${item}
"""
LOCK = """
schema: '2.0'
stages:
  export@music:
    cmd: mkdir -p build/music/export
    outs:
    - path: build/music/export
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 1
      nfiles: 1
  gate@music: {cmd: python -m components gate music}
  promote@music: {cmd: python -m components promote music}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project as a clone has it: dvc.lock names an output, which is nowhere."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "dvc.lock").write_text(LOCK)
    monkeypatch.chdir(folder)
    return folder


def refused(*labs: str) -> str:
    """The line that says why nothing is pulled."""
    with pytest.raises(UserError) as raised:
        pull(labs, Path("params.yaml"), Path("build"))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_remote_is_named_in_the_file_that_git_has_or_for_this_machine(project: Path) -> None:
    assert configured() == ""
    assert configure("s3://bucket/labs", "https://store.example") == ".dvc/config"
    assert configured() == "s3://bucket/labs"
    shared = (project / ".dvc/config").read_text()
    assert [line.strip() for line in shared.splitlines()][-3:] == [
        "url = s3://bucket/labs",
        "verify = true",
        "endpointurl = https://store.example",
    ]
    configure("s3://bucket/other")
    assert "store.example" not in (project / ".dvc/config").read_text(), "of the address before"

    shared = (project / ".dvc/config").read_text()
    assert configure("/mnt/labs", local=True) == ".dvc/config.local"
    assert configured() == "/mnt/labs"
    assert (project / ".dvc/config").read_text() == shared
    with pytest.raises(UserError, match="names a remote for this machine, which goes before"):
        configure("s3://bucket/labs")


@pytest.mark.parametrize("address", ["s3://ada@bucket/labs", "https://ada@store.example/labs"])
def test_an_address_with_a_user_in_it_is_refused_and_not_repeated(project: Path, address: str) -> None:
    before = (project / ".dvc/config").read_text()
    for given in ((address,), ("s3://bucket/labs", address)):
        with pytest.raises(UserError, match="which git would record") as raised:
            configure(*given)
        assert "ada" not in str(raised.value)
    assert (project / ".dvc/config").read_text() == before


def test_without_a_remote_the_line_says_how_to_name_one(project: Path) -> None:
    assert "make remote URL=" in refused("music")


def test_a_remote_that_lacks_the_outputs_is_named_with_the_lab(project: Path, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    configure(str(tmp_path / "remote"))
    said = refused()
    assert said.startswith(f"{tmp_path / 'remote'} does not have all that dvc.lock names of music: `dvc push`")


def test_a_lab_that_dvc_lock_does_not_name_is_told_with_those_that_it_does(project: Path) -> None:
    assert refused("faces") == "dvc.lock has music, and nothing of faces: `make repro LAB=faces` makes it"
    assert "did you mean 'faces'?" in refused("face")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no dvc.lock: `make repro` makes it, and git keeps it"),
        ("stages: {}\n", "dvc.lock is of no lab yet: `make repro` makes models, and git keeps what it says of them"),
        ("<<<<<<< HEAD\n", "dvc.lock cannot be read: restore it from git"),
        ("schema: '2.0'\n", "dvc.lock cannot be read: restore it from git"),
    ],
)
def test_a_dvc_lock_that_is_none_is_one_line(project: Path, content: str | None, said: str) -> None:
    lock = project / "dvc.lock"
    lock.unlink() if content is None else lock.write_text(content)
    assert refused() == said

"""The search for secrets, in a repository made for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.secret_scan import KNOWN

# Never whole in this file, or the scan would find them here.
CANARIES = {
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLX",
    "GitHub Token": "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "Private Key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "Basic Auth Credentials": "https://labs:" + "c0rrecthorse" + "@example.invalid",
    "Secret Keyword": "password = " + '"c0rrecthorsebattery"',
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "Nobody")
    git(tmp_path, "config", "user.email", "nobody@example.invalid")
    commit(tmp_path, "Begin", "README.md", "A line.\n")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str, name: str, text: str) -> str:
    (folder / name).write_text(text)
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "--short", "HEAD")


def scan(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "infra.secret_scan", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_repository_without_secrets_passes(repository: Path) -> None:
    done = scan(repository)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", CANARIES)
def test_a_secret_in_a_file_that_is_not_committed_is_found_and_not_printed(kind: str, repository: Path) -> None:
    (repository / "notes.txt").write_text(f"first\n{CANARIES[kind]}\n")
    done = scan(repository)
    assert done.returncode == 1
    assert done.stderr.startswith(f"notes.txt: {kind}, hash ")
    assert CANARIES[kind] not in done.stderr
    assert "error: 1 possible secrets" in done.stderr


def test_a_secret_that_a_later_commit_took_away_is_found_with_its_commit(repository: Path) -> None:
    commit(repository, "Add", "key.py", f"KEY = '{CANARIES['AWS Access Key']}'\n")
    gone = commit(repository, "Take away", "key.py", "KEY = ''\n")
    assert f"commit {gone} key.py: AWS Access Key, hash " in scan(repository).stderr


def test_a_secret_of_a_merge_and_one_of_a_message_are_found(repository: Path) -> None:
    main = git(repository, "rev-parse", "--abbrev-ref", "HEAD")
    git(repository, "switch", "--quiet", "--create", "other")
    commit(repository, "There", "README.md", "Another line.\n")
    git(repository, "switch", "--quiet", main)
    commit(repository, f"Here {CANARIES['GitHub Token']}", "README.md", "A third line.\n")
    subprocess.run(["git", "merge", "--quiet", "other"], cwd=repository, check=False, capture_output=True)
    commit(repository, "Merge", "README.md", f"{CANARIES['Private Key']}\n")
    commit(repository, "Take away", "README.md", "A line.\n")
    said = scan(repository).stderr
    assert "README.md: Private Key, hash " in said
    assert "GitHub Token, hash " in said


def test_an_ignored_file_is_nobodys_business(repository: Path) -> None:
    commit(repository, "Ignore", ".gitignore", "*.env\n")
    (repository / "own.env").write_text(CANARIES["AWS Access Key"])
    assert scan(repository).returncode == 0


def test_what_is_known_to_be_none_passes_and_nothing_else_does(repository: Path) -> None:
    (repository / "notes.txt").write_text(CANARIES["AWS Access Key"])
    digest = scan(repository).stderr.splitlines()[0].split()[-1]
    (repository / KNOWN).parent.mkdir()
    (repository / KNOWN).write_text(f'known = [{{ hash = "{digest}", reason = "a test" }}]\n')
    assert scan(repository).returncode == 0
    (repository / "notes.txt").write_text(CANARIES["AWS Access Key"] + "\n" + CANARIES["GitHub Token"])
    assert scan(repository).stderr.startswith("notes.txt: GitHub Token, hash ")


def test_a_folder_without_a_repository_is_one_line(tmp_path: Path) -> None:
    done = scan(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: git ls-files failed: ")
    assert "Traceback" not in done.stderr

"""Looks for secrets in the working tree and in its history: `python -m infra.secret_scan`, part of `make lint`.

detect-secrets judges every different line that a commit added or removed, that a commit's message has, or that is in a
file which git does not ignore. Its detectors of random strings are off: they take hashes for secrets. What is found is
never printed. What only looks like a secret is named in known_secrets.toml by its hash, with a reason.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from components.errors import UserError
from components.settings import project_root

KNOWN = Path("infra", "known_secrets.toml")
LOG = ("log", "--patch", "--unified=0", "--cc", "--no-color", "--no-ext-diff", "--no-textconv", "--format=%x00%h%n%B")
CHUNK = 2000
"""Lines that a process judges at a time."""


def unknown_secrets(root: Path) -> list[str]:
    """One line a secret that is not known: where it is, of what kind, and its hash.

    Raises UserError when the folder is no git repository.
    """
    known_file = root / KNOWN
    known = tomllib.loads(known_file.read_text())["known"] if known_file.exists() else []
    accepted = {entry["hash"] for entry in known}
    places: dict[str, str] = {}
    for line, place in chain(_tree(root), _history(root)):
        places.setdefault(line.strip(), place)
    lines = list(places)
    chunks = [lines[start : start + CHUNK] for start in range(0, len(lines), CHUNK)]
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = {secret: line for some in pool.map(secrets, chunks) for secret, line in some}
    return [
        f"{places[line]}: {kind}, hash {digest}"
        for (kind, digest), line in sorted(found.items())
        if digest not in accepted
    ]


def secrets(lines: Sequence[str]) -> list[tuple[tuple[str, str], str]]:
    """What kind of secret and its hash, and the line that holds it, for each of the lines that hold one."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.core.scan import scan_line
    from detect_secrets.plugins.base import BasePlugin
    from detect_secrets.settings import transient_settings

    detectors: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
    names = [detector.__name__ for detector in detectors.values()]
    chosen = [{"name": name} for name in names if "Entropy" not in name and name != "IPPublicDetector"]
    with transient_settings({"plugins_used": chosen}):
        return [((found.type, found.secret_hash), line) for line in lines for found in scan_line(line)]


def _tree(root: Path) -> Iterator[tuple[str, str]]:
    """Each line of each file that git does not ignore, and the file's name."""
    for name in _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        path = root / name
        if name and path.is_file() and b"\0" not in (content := path.read_bytes()):
            yield from ((line, name) for line in content.decode(errors="replace").splitlines())


def _history(root: Path) -> Iterator[tuple[str, str]]:
    """Each line of each change and of each message, the newest commit first, and where it is."""
    place, prefix = "", 0
    for line in _git(root, *LOG).split("\n"):
        if line.startswith("\0"):
            place, prefix = f"commit {line[1:]}", 0
        elif line.startswith("diff --"):
            place, prefix = f"{' '.join(place.split()[:2])} {line.split()[-1].removeprefix('b/')}", -1
        elif line.startswith("@@"):
            prefix = len(line) - len(line.lstrip("@")) - 1  # a merge's lines have a sign for each parent
        elif prefix >= 0:
            yield line[prefix:], place


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    if done.returncode != 0:
        raise UserError(f"git {arguments[0]} failed: {' '.join(done.stderr.decode(errors='replace').split())}")
    return done.stdout.decode(errors="replace")


def main(
    root: Annotated[Path | None, typer.Argument(help="A git repository; by default this one.")] = None,
) -> None:
    """Fails, and says where, when the working tree or its history holds a secret that is not known to be none."""
    try:
        found = unknown_secrets(root or project_root())
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    for line in found:
        typer.echo(line, err=True)
    if found:
        typer.echo(
            f"error: {len(found)} possible secrets. Revoke what is one and take it away, from the history too; "
            f"give what is none, by its hash and with a reason, to {KNOWN}",
            err=True,
        )
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

"""Chosen files of a git repository at a commit, without downloading the rest of it."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from components.sources.catalogue import Git
from components.sources.command import run
from components.sources.download import reachable
from components.sources.errors import UnavailableError
from components.sources.patterns import matches


def chosen_files(source: Git, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """(name in the tar, content) of the chosen files, sorted by name.

    A partial clone (no history, no file contents), then one request for the chosen blobs. Contents are read from the
    object store, never from a work tree, where line ends and filters could change them. Servers without partial
    clones send the whole commit, which also works. Raises UnavailableError.
    """
    if not source.repository.startswith("file:"):
        reachable(source.repository)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="clone.") as folder:
        clone = Path(folder)
        _git(clone, "init", "--quiet", "--bare", ".")
        _git(clone, "remote", "add", "origin", source.repository)
        _git(clone, "config", "remote.origin.promisor", "true")
        _fetch(clone, source.commit, depth="1")
        blobs = _blobs(clone, source)
        _fetch(clone, *blobs.values())
        yield from zip(blobs, _contents(clone, list(blobs.values())), strict=True)


def _blobs(clone: Path, source: Git) -> dict[str, str]:
    """Name in the tar -> blob id of the chosen regular files, sorted by name."""
    tree = f"{source.commit}:{source.folder}"
    blobs = {}
    for line in _git(clone, "ls-tree", "-r", "-z", tree).decode("utf-8", "surrogateescape").split("\0")[:-1]:
        (mode, _, blob), name = line.split("\t")[0].split(" "), line.split("\t")[1]
        if mode in ("100644", "100755") and matches(name, source.include, source.exclude):
            blobs[source.name_in_tar(name)] = blob
    if not blobs:
        raise UnavailableError(f"{source.repository} has none of the chosen files at {source.commit}")
    return dict(sorted(blobs.items()))


def _fetch(clone: Path, *objects: str, depth: str | None = None) -> None:
    options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none"]
    options += [f"--depth={depth}"] if depth else []
    _git(clone, "fetch", *options, "origin", "--stdin", stdin="\n".join(objects).encode())


def _contents(clone: Path, blobs: list[str]) -> Iterator[bytes]:
    """Contents in the order of `blobs`: one process, one blob in memory at a time."""
    with tempfile.TemporaryFile() as wanted:
        wanted.write("\n".join(blobs).encode() + b"\n")
        wanted.seek(0)
        command = ["git", "-C", str(clone), "cat-file", "--batch"]
        with subprocess.Popen(command, stdin=wanted, stdout=subprocess.PIPE) as reader:
            output = cast(IO[bytes], reader.stdout)
            for blob in blobs:
                header = output.readline().split()
                if len(header) != 3:
                    raise UnavailableError(f"git did not bring blob {blob}")
                yield output.read(int(header[2]) + 1)[:-1]


def _git(clone: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    # Give up below 1 kB/s for 30 s; blobs are asked for by id, so there is nothing to negotiate; never ask for a name.
    options = ("http.lowSpeedLimit=1000", "http.lowSpeedTime=30", "fetch.negotiationAlgorithm=noop")
    flags = [part for option in options for part in ("-c", option)]
    return run("git", *flags, *arguments, cwd=clone, stdin=stdin, timeout=1800, variables={"GIT_TERMINAL_PROMPT": "0"})

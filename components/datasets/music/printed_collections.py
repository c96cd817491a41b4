"""The tunes of three printed collections, which music21 carries as ABC: O'Neill's, Ryan's and Aird's."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from components.sources.archive import read_tar

FILE = Path("printed_collections.tar")

FOLDERS = {"oneills": "oneills1850", "ryans": "ryansMammoth", "airds": "airdsAirs"}
"""Folder in the archive by the name of a collection."""

CODES = {"oneills": "on", "ryans": "rm", "airds": "aa"}
"""What a tune's Z: field says of where it is from; the lab's own collection is dc."""


class PrintedTune(NamedTuple):
    """A tune as a collection's file has it."""

    collection: str
    file: str
    line: int
    """Where it starts in the file, from 1."""
    text: str
    ordinal: int
    """In its collection, from 1."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def number(self) -> int:
        """The number in its X: field; 0 where that is none."""
        match = re.search(r"^X:\s*([0-9]{1,6})", self.text, re.MULTILINE)
        return int(match[1]) if match else 0

    def field(self, letter: str) -> str:
        """Value of its first field of that letter, or ""."""
        match = re.search(rf"^{letter}:[ \t]*(.*?)[ \t]*$", self.text, re.MULTILINE)
        return match[1] if match else ""


def read_collections(raw: Path, names: Sequence[str]) -> list[PrintedTune]:
    """Every tune (what stands between empty lines and has an X: field) of these collections, in the order of the files.

    Raises UserError where the archive is missing or damaged.
    """
    chosen = {FOLDERS[name]: name for name in names}
    tunes: list[PrintedTune] = []
    index: Counter[str] = Counter()
    for member, content in read_tar(raw / FILE):
        path = PurePosixPath(member)
        name = chosen.get(path.parent.name, "")
        for line, block in _blocks(_decoded(content)) if name else ():
            index[name] += 1
            tunes.append(PrintedTune(name, path.name, line, block, index[name]))
    return tunes


def _decoded(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _blocks(text: str) -> list[tuple[int, str]]:
    blocks: list[tuple[int, str]] = []
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            lines.append(line)
        elif lines:
            if any(each.startswith("X:") for each in lines):
                blocks.append((number - len(lines), "\n".join(lines)))
            lines = []
    return blocks

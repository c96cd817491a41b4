"""How much of other people's ABC plays: the 4,248 tunes of three collections that music21 carries.

    python -m benchmarks.abc_collections [--every 8]

O'Neill's (2,009 tunes), Ryan's Mammoth Collection (1,059) and Aird's Airs (1,180) were typed by others than the lab's
training tunes. Each tune is played by the API's player. Of each one that plays, the notes of every bar are counted once
more by this script's own expressions, which share no code with the reader, and every written note must be played.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from components.datasets.music.abc_standard import read_standard
from components.datasets.music.repeats import played_bars
from components.errors import UserError
from serving.music.notes import melody

COLLECTIONS = ("airdsAirs", "oneills1850", "ryansMammoth")
MAX_CHORD = 10

SILENT = re.compile(r'"[^"]*"|![^!\s|]+!|\{[^}]*\}|\[[A-Za-z]:[^]]*\]|y[0-9]*')
BAR = re.compile(r"[:|\][]*\|[:|\]]*(?:\[?[1-9][0-9,-]*)?|::|\[[1-9][0-9,-]*|^\s*:", re.MULTILINE)


def collections() -> Iterator[tuple[str, str]]:
    """Collection and text of each tune. Exits where music21 is not installed."""
    package = find_spec("music21")
    if package is None or package.origin is None:
        sys.exit("music21, which carries the collections, is not installed: pip install -e .[dev]")
    for name in COLLECTIONS:
        for path in sorted((Path(package.origin).parent / "corpus" / name).glob("*.abc")):
            content = path.read_bytes()
            try:
                text = content.decode()
            except UnicodeDecodeError:
                text = content.decode("latin-1")
            for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
                if re.search("^X:", block, re.MULTILINE):
                    yield name, block.strip()


def counted(text: str) -> list[int]:
    """Notes and rests of each bar that has any, counted from the text."""
    _, _, body = text.partition("\nK:")
    lines = [line.split("%")[0] for line in body.split("\n")[1:] if not re.match("%|[IK-NP-UVWwrs]:(?![|:])", line)]
    music = SILENT.sub(" ", "\n".join(lines))
    counts = [len(re.findall("[A-Ga-gxzZ]", bar)) for bar in BAR.split(music)]
    return [count for count in counts if count]


def read(text: str) -> list[int]:
    """The same from what the reader read."""
    tune = read_standard(text)
    places = sorted({0, *(mark.place for mark in tune.marks), len(tune.notes)})
    notes = [max(1, len(note.pitches)) for note in tune.notes]
    return [sum(notes[start:end]) for start, end in pairwise(places)]


def unplayed(text: str) -> int:
    """How many written notes the order of bars leaves out."""
    tune = read_standard(text)
    bars = played_bars(len(tune.notes), tune.marks, tune.headers.get("P", ""))
    return len(tune.notes) - len({place for bar in bars for place in bar})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="only each n-th tune")
    arguments = parser.parse_args()
    tunes = list(collections())[:: arguments.every]
    refused: Counter[str] = Counter()
    different: list[str] = []
    lost: list[str] = []
    for name, text in tunes:
        title = f"{name} {text[text.index('X:') :].splitlines()[0]}"
        try:
            melody(text, MAX_CHORD)
        except UserError as error:
            refused[re.sub("[0-9]+", "N", str(error).removeprefix("this ABC can't be played: "))] += 1
            continue
        if counted(text) != read(text):
            different.append(title)
        if unplayed(text):
            lost.append(title)
    played = len(tunes) - sum(refused.values())
    result = {
        "tunes": len(tunes),
        "played": played,
        "share": round(played / len(tunes), 4),
        "bars_counted_differently": different,
        "with_notes_not_played": lost,
        "refused": dict(refused.most_common()),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

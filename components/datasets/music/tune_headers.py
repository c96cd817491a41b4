"""Type and title of a tune of a printed collection, as the lab's own collection writes them.

A type is taken only where a rule says so: the R: field, a word at the end of the title, or the part of O'Neill's book
that a tune stands in, which has one type and its metres. Every other tune is `untyped`.
"""

import re
import unicodedata

from components.datasets.music.printed_collections import PrintedTune

UNTYPED = "untyped"

WORDS = {
    "reel": "reel",
    "jig": "jig",
    "double jig": "jig",
    "hornpipe": "hornpipe",
    "clog": "hornpipe",
    "polka": "polka",
    "slide": "slide",
    "slip jig": "slipjig",
    "slipjig": "slipjig",
    "hop jig": "slipjig",
    "set dance": "setdance",
    "waltz": "waltz",
    "air": "air",
    "march": "march",
    "quick step": "march",
    "quickstep": "march",
    "strathspey": "strathspey",
    "highland fling": "strathspey",
    "fling": "strathspey",
    "minuet": "minuet",
}
"""Type by the word of a collection."""

METRES = {
    "reel": ("C", "C|", "2/4"),
    "jig": ("6/8",),
    "hornpipe": ("C", "C|", "2/4"),
    "polka": ("2/4",),
    "slide": ("6/8",),
    "slipjig": ("9/8",),
    "waltz": ("3/4",),
    "strathspey": ("C", "C|", "2/4"),
    "minuet": ("3/4",),
}
"""Metres that a type may have; the word of another metre is a mistake, or another dance of that name."""

ONEILLS_PARTS = (
    (1, 625, {"C": "air", "C|": "air", "2/4": "air", "3/4": "air", "6/8": "air", "9/8": "air"}),
    (701, 1175, {"6/8": "jig", "9/8": "slipjig"}),
    (1176, 1555, {"C": "reel", "C|": "reel", "2/4": "reel"}),
    (1556, 1782, {"C": "hornpipe", "C|": "hornpipe", "2/4": "hornpipe"}),
)
"""First and last number of a part of O'Neill's Music of Ireland, and the type of its tunes by metre."""

_SMALL = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "is", "it", "o", "of", "off", "on", "or", "the", "to", "with"]
)
_TITLE_CHARACTERS = re.compile(r"[^A-Za-z0-9 '(),.-]")
_ARTICLE = re.compile(r"^(?:[Tt]he|THE|A) (?=\S)|[.,]? *, (?:The|THE|A)$")
_DANCE = re.compile(r"\s*--+\s*[A-Za-z ]+\.?$")


def tune_type(tune: PrintedTune, metre: str) -> str:
    """metre: of the converted tune."""
    word = tune.field("R").lower().strip(" .")
    title = tune.field("T").lower().strip(" .,")
    found = WORDS.get(word) or next(
        (WORDS[name] for name in sorted(WORDS, key=len, reverse=True) if _ends(title, name)), ""
    )
    if not found and re.search("carolan|planxty", title):
        found = "ocarolan"
    if not found and tune.collection == "oneills":
        found = next((types.get(metre, "") for first, last, types in ONEILLS_PARTS if first <= tune.number <= last), "")
    return found if found and metre in METRES.get(found, (metre,)) else UNTYPED


def _ends(title: str, word: str) -> bool:
    return word != "air" and re.search(rf"(?:^|[\s-]){word}$", title) is not None


def title(tune: PrintedTune) -> str:
    """The title without its article and the name of its dance, in the characters that the model knows; "" for none."""
    text = _DANCE.sub("", tune.field("T").split("%")[0].strip())
    text = unicodedata.normalize("NFKD", re.sub(r"\\.", "", text)).replace("\u2019", "'").replace("&", "and")
    text = _TITLE_CHARACTERS.sub("", text)
    text = _ARTICLE.sub("", " ".join(text.split()).strip(" .,")).strip(" .,-")
    return _in_title_case(text) if text.isupper() else text[:1].upper() + text[1:]


def _in_title_case(text: str) -> str:
    words = [
        word if word in _SMALL else re.sub("^[(]?[a-z]|(?<=^[od]')[a-z]|(?<=-)[a-z]", lambda m: m[0].upper(), word)
        for word in text.lower().split()
    ]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])

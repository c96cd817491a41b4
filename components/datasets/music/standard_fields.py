"""Keys, metres and voices as the ABC standard 2.1 has them (chapters 3.1.6 to 3.1.8, 3.1.14, 4.6 and 7)."""

import re
from dataclasses import dataclass
from fractions import Fraction

from components.datasets.music.music_theory import MODES, POWERS, bar_length, key_name, key_signature

PIPES = {"F": 1, "C": 1}
"""The bagpipe scale, which K:HP and K:Hp stand for."""

_ALTERATIONS = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}
_TONIC = re.compile(r"(?P<tonic>[A-G][#b]?)(?:\s*(?P<mode>[A-Za-z]+)(?![A-Za-z]|=[^A-Ga-g]|=.[a-z]))?")
_ALTERED = re.compile(r"(__|_|=|\^\^|\^)([A-Ga-g])")
_CLEF = re.compile(
    r"(?:clef=)?\"?(?:(?:treble|bass|alto|tenor|perc|none|soprano|mezzosoprano|baritone)[1-5]?|[GCF][1-5])([+^_-]8)?\"?"
)
_SHIFT = re.compile(r"(octave|transpose|t)=([+-]?[0-9]{1,2})")
_SILENT = re.compile(r"[a-z]+=\S*|up|down|merge", re.IGNORECASE)
_SUM = re.compile(r"\(?\s*([1-9][0-9]?(?:\s*\+\s*[1-9][0-9]?)+)\s*\)?\s*/\s*([0-9]{1,2})")
_UNIT = re.compile(r"1(?:/([0-9]{1,3}))?")


@dataclass(frozen=True)
class Signature:
    """What a K: or V: field says about pitches."""

    altered: dict[str, int] | None
    """Accidental of each altered note name; None where the field names no key."""
    shift: int | None
    """Semitones that the notes sound higher than written; None where the field says nothing about it."""


def key_field(value: str) -> Signature | None:
    """A K: field, such as "Ddor", "D exp _b", "Hp", "none" or "Am clef=bass octave=-1"; None for one there is not.

    "" is "none". A field that only names a clef changes no key.
    """
    value = value.strip()
    altered: dict[str, int] | None = None
    if value.lower() in ("", "none"):
        return Signature({}, None)
    if piped := re.match(r"H[Pp](?=\s|$)|none(?=\s)", value):
        altered, rest = dict(PIPES) if piped[0] != "none" else {}, value[piped.end() :]
    elif (match := _TONIC.match(value)) and not _CLEF.fullmatch(value.split()[0]):
        mode = _mode(match["mode"] or "")
        altered = key_signature(match["tonic"] + (mode or ""))
        rest = value[match.end("tonic" if mode is None else 0) :]
        if altered is None:
            return None
    else:
        rest = value
    return _modified(altered, rest)


def plain_key(value: str) -> str | None:
    """A K: field as the collection spells it: "Am clef=bass" is "A Minor", "Hp" is "D Major"; None for no key of it."""
    found = key_field(value)
    if found is None or found.altered is None or found.shift:
        return None
    sharpened = {name: sign for name, sign in found.altered.items() if sign}
    spelled = _TONIC.match(value.strip())
    names = [spelled["tonic"] + (_mode(spelled["mode"] or "") or "")] if spelled else []
    names += [f"{tonic}{sign}" for sign in ("", "#", "b") for tonic in "CDEFGAB"]
    return next((key_name(name) for name in names if key_signature(name) == sharpened), None)


def voice_field(value: str) -> tuple[str, int | None]:
    """Name of a V: field's voice, and how many semitones higher than written it sounds, if the field says so."""
    name, _, rest = value.strip().partition(" ")
    signature = _modified(None, re.sub(r'[a-z]+="[^"]*"', "", rest))
    return name, signature.shift if signature else None


def metre_field(value: str) -> Fraction | None:
    """Length of a bar in whole notes, 0 for "none" and ""; None for a metre there is not."""
    value = value.strip()
    if value.lower() in ("", "none"):
        return Fraction(0)
    if (match := _SUM.fullmatch(value)) and int(match[2]) in POWERS:
        return Fraction(sum(map(int, match[1].split("+"))), int(match[2]))
    return bar_length(value)


def unit_field(value: str) -> Fraction | None:
    """What a note without a length lasts, from a whole note to 1/512; None for what is not such a length."""
    match = _UNIT.fullmatch(value.strip())
    number = int(match[1] or 1) if match else 0
    return Fraction(1, number) if number in (*POWERS, 128, 256, 512) else None


def usual_unit(metre: Fraction | None) -> Fraction:
    """The unit length where no L: field gives one (3.1.7)."""
    return Fraction(1, 16) if metre and metre < Fraction(3, 4) else Fraction(1, 8)


def _mode(word: str) -> str | None:
    """The mode as `key_signature` takes it: only its first three letters count; None for another word."""
    word = word.lower()
    return word if word in ("", "m") else next((mode[:3] for mode in MODES if word[:3] == mode[:3]), None)


def _modified(altered: dict[str, int] | None, rest: str) -> Signature | None:
    """The key with what follows it: accidentals, clef, octave and transposition."""
    shift: int | None = None
    for word in re.findall(r'[a-z]+="[^"]*"|\S+', rest):
        signs = _ALTERED.findall(word)
        if word == "exp" and altered is not None:
            altered = {}
        elif signs and "".join(map("".join, signs)) == word and altered is not None:
            altered = altered | {name.upper(): _ALTERATIONS[sign] for sign, name in signs}
        elif clef := _CLEF.fullmatch(word):
            if clef[1]:
                shift = (shift or 0) + (12 if clef[1][0] in "+^" else -12)
        elif moved := _SHIFT.fullmatch(word):
            shift = (shift or 0) + int(moved[2]) * (12 if moved[1] == "octave" else 1)
        elif not _SILENT.fullmatch(word):
            return None
    return Signature(altered, shift)

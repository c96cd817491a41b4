"""The words of ABC: what a key, a metre and a length of a note mean."""

import re
from fractions import Fraction
from functools import lru_cache

MODES = {
    "major": 0,
    "ionian": 0,
    "mixolydian": -1,
    "dorian": -2,
    "minor": -3,
    "aeolian": -3,
    "phrygian": -4,
    "locrian": -5,
    "lydian": 1,
}
"""Sharps that a mode has more than the major key on the same tonic."""

ALSO = {"ionian": "major", "aeolian": "minor"}
"""Other names of two modes, which the data does not use."""

SHARPS = "FCGDAEB"
"""The order in which a key signature sharpens notes; it flattens them in reverse."""

POWERS = (1, 2, 4, 8, 16, 32, 64)

_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)")
_METRE = re.compile(r"([1-9][0-9]?)/([0-9]{1,2})")
_UNIT = re.compile(r"1/([0-9]{1,2})")


def key_signature(key: str) -> dict[str, int] | None:
    """Accidental of each altered note name: "D Major" is {"F": 1, "C": 1}; None for a key there is not.

    Spelled as in the data ("D Mixolydian") or short ("Dmix", "Em", "A"); at most seven sharps or flats.
    """
    match = _KEY.fullmatch(key.strip()[:40])
    name = _mode(match[3].lower()) if match else None
    if match is None or name is None:
        return None
    mode = MODES[name]
    sharps = SHARPS.index(match[1]) - 1 + 7 * {"": 0, "#": 1, "b": -1}[match[2]] + mode
    if abs(sharps) > 7:
        return None
    return dict.fromkeys(SHARPS[:sharps], 1) if sharps >= 0 else dict.fromkeys(SHARPS[sharps:], -1)


def key_name(key: str) -> str | None:
    """A key as the data spells it: "Em" is "E Minor", "D" is "D Major"; None for a key there is not."""
    match = _KEY.fullmatch(key.strip()[:40])
    name = _mode(match[3].lower()) if match else None
    if match is None or name is None or key_signature(key) is None:
        return None
    return f"{match[1]}{match[2]} {ALSO.get(name, name).title()}"


def bar_length(metre: str) -> Fraction | None:
    """Length of a bar in whole notes ("C" and "C|" are one); None for a metre there is not."""
    metre = metre.strip()
    match = _METRE.fullmatch({"C": "4/4", "C|": "2/2"}.get(metre, metre))
    return Fraction(int(match[1]), int(match[2])) if match and int(match[2]) in POWERS else None


def unit_length(text: str) -> Fraction | None:
    """What a note without a length lasts, in whole notes; None for what isn't one over a power of two."""
    match = _UNIT.fullmatch(text.strip())
    return Fraction(1, int(match[1])) if match and int(match[1]) in POWERS else None


@lru_cache(1024)
def note_length(text: str) -> tuple[int, int] | None:
    """A length as written after a note ("", "2", "3/2", "/", "//", "/4"), as numerator and denominator.

    None for zero and for what isn't over a power of two.
    """
    number, slash, divisor = text.partition("/")
    numerator = int(number or 1)
    denominator = int(divisor) if divisor.isdigit() else 2 ** len(slash + divisor)
    return (numerator, denominator) if numerator and denominator in POWERS else None


def _mode(name: str) -> str | None:
    """One of MODES, given in full or by three letters; "m" is minor, "" is major."""
    name = {"": "major", "m": "minor"}.get(name, name)
    return next((mode for mode in MODES if name in (mode, mode[:3])), None)

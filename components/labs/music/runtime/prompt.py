"""From what a tune is asked to be to a request for the sampler: above all, how the model reads a given beginning.

The model has read one collection, whose headers are X, T, Z, M, L and K, in this order and in one spelling. Of 24 tunes
that were to begin with `K:G` one became valid in eight samples. So it reads the header as the collection would have it;
the tune itself begins with what was given, to the letter.
"""

from __future__ import annotations

import re
from dataclasses import replace

from components.datasets.music.abc_notation import REQUIRED, parse_tune
from components.datasets.music.respell import refusals, respelled
from components.datasets.music.standard_fields import plain_key
from components.labs.music.runtime.bars import BarJudge
from components.labs.music.runtime.conditioning import MUSIC_LINE, SPELLINGS, Conditions, Options, form_of
from components.labs.music.runtime.request import TuneRequest

_FIELD = re.compile(r"([A-Za-z]):(.*)")


def conditioned(request: TuneRequest, conditions: Conditions, options: Options) -> TuneRequest:
    """The request of a tune that is to be like this."""
    seed, read_as = request.seed, {}
    if conditions.beginning:
        read_as[0] = as_collected(conditions.beginning, options, seed)
    else:
        conditions = _with_metre_and_type(conditions, options, seed)
        if (music := respelled(conditions.start, _header(conditions))) != conditions.start:
            read_as[MUSIC_LINE] = music
    form = None
    if request.redraws or conditions.of_form:  # one that is taken as it comes would seldom get it
        form = options.draw_form(fitting_forms(conditions, options, seed), seed)
    return replace(request, forced=options.forced_lines(conditions, seed), read_as=read_as, form=form)


def _with_metre_and_type(conditions: Conditions, options: Options, seed: int) -> Conditions:
    """Where a type or a start is asked for and its metre is not, or a metre and not its type, they are drawn."""
    if not conditions.metre and (conditions.start or conditions.type):
        # After a type that it has seldom read the model writes any metre, and then no bar that fits it.
        metres = _fitting(conditions, options) if conditions.start else _metres(conditions, options)
        if conditions.of_form:
            with_form = [metre for metre in metres if fitting_forms(replace(conditions, metre=metre), options, seed)]
            metres = with_form or metres
        type = "" if conditions.start else conditions.type
        conditions = replace(conditions, metre=options.draw_metre(metres, seed, type))
    types = options.types_in(conditions.metre)
    if types and not conditions.type:
        among: list[str] = []
        if conditions.of_form:
            among = [type for type in types if fitting_forms(replace(conditions, type=type), options, seed)]
        conditions = replace(conditions, type=options.draw_type(conditions.metre, seed, among))
    return conditions


def fitting_forms(conditions: Conditions, options: Options, seed: int) -> dict[str, int]:
    """The forms that a tune may have which is asked to be like this, and how many training tunes have them.

    None where the start has more than a part of the first line of music.
    """
    if not conditions.start:
        return options.forms_of(conditions)
    header, music = _split(conditions.start)
    if ("\nK:" in header and music) or (not conditions.beginning and "\n" in music):
        return {}  # codes stand before a line of music
    if conditions.beginning:
        text = as_collected(conditions.beginning, options, seed)
        tune = parse_tune(text)
        metre, type = tune.headers.get("M", ""), tune.type
        conditions = replace(
            conditions, metre=metre if metre in options.forms else "", type=type if type in options.types else ""
        )
    else:
        text = _music(conditions, conditions.metre)
    judge = _judged(text)
    forms = options.forms_of(conditions)
    return {line: count for line, count in forms.items() if not line or judge.may_have(form_of(line))}


def may_have_form(conditions: Conditions, options: Options) -> bool:
    """Whether a tune of this metre and type, which begins like this, may have the form that is asked for."""
    open_metre = conditions.start and not (conditions.beginning or conditions.metre)
    metres = _fitting(conditions, options) if open_metre else [conditions.metre]
    return any(fitting_forms(replace(conditions, metre=metre), options, seed=0) for metre in metres)


def faults(start: str) -> list[str]:
    """What keeps every tune that begins like this from being valid: faults of its header, and what is not read at all.

    Its notes are not looked at, because its end may be missing.
    """
    header, _ = _split(start)
    if refused := refusals(start):
        return refused
    tune = parse_tune(_plain_keys(header))
    if "K" not in tune.headers:  # the model goes on with it
        return list(tune.faults)
    return [*(f"no {letter}: field before K:" for letter in REQUIRED if letter not in tune.headers), *tune.faults]


def start_fault(conditions: Conditions, options: Options) -> str:
    """Why no bar that could follow makes a tune with this start valid; "" where one may."""
    if conditions.beginning:
        return _fault(as_collected(conditions.beginning, options, seed=0))
    if not conditions.start:
        return ""
    metres = [conditions.metre] if conditions.metre else _metres(conditions, options)
    faults = [_fault(_music(conditions, metre)) for metre in metres]
    return faults[0] if faults and all(faults) else ""


def as_collected(start: str, options: Options, seed: int) -> str:
    """The start with its header as the collection would have it.

    A type is taken from Z: or R:, or drawn for the metre as `Options.draw_type` does. What the collection's headers do
    not have is left out. A line that is not complete is the model's to complete, so it stays as it is.
    """
    header, rest = _split(start)
    tune = parse_tune(header)
    if "K" not in tune.headers and rest:
        return start
    rest = respelled(rest, header)
    given = dict(tune.headers)
    metre = given.get("M", "")
    type = tune.type or re.sub(r"[ -]", "", given.get("R", "").lower())
    if type not in options.types:
        type = options.draw_type(metre, seed) if options.types_in(metre) else ""
    if type:
        given["Z"] = f" id:dc-{type}-{given.get('X', '1')}"
    if metre in SPELLINGS and options.types_in(metre):
        given["M"] = SPELLINGS[metre]
    if "K" in given:
        given["K"] = plain_key(given["K"]) or given["K"]
    return "".join(f"{letter}:{given[letter]}\n" for letter in "XTZMLK" if letter in given) + rest


def as_checked(text: str, conditions: Conditions) -> str:
    """A tune with its start in the collection's dialect, for the check that knows no other."""
    start = conditions.start
    if not start or start not in text:
        return text
    before, _, after = text.partition(start)
    header, rest = _split(start) if conditions.beginning else ("", start)
    if conditions.beginning and "K" not in parse_tune(header).headers:  # it ends within the header
        return text
    return before + _plain_keys(header) + respelled(rest, header or _header(conditions)) + after


def _fitting(conditions: Conditions, options: Options) -> list[str]:
    """The metres in which the bars of the start add up, and as many of them as in any are full."""
    judges = {metre: _judged(_music(conditions, metre)) for metre in _metres(conditions, options)}
    full = {metre: judge.full_bars for metre, judge in judges.items() if not judge.fault}
    return [metre for metre, count in full.items() if count == max(full.values())]


def _metres(conditions: Conditions, options: Options) -> list[str]:
    """Those that the asked type may have, the most common first."""
    type = conditions.type
    common = sorted(options.types_by_metre, key=lambda metre: -sum(options.types_in(metre).values()))
    return [metre for metre in common if not type or type in options.types_in(metre)]


def _music(conditions: Conditions, metre: str) -> str:
    header = f"X:1\n{_header(replace(conditions, metre=metre))}K:C\n"
    return header + respelled(conditions.start, header)


def _judged(text: str) -> BarJudge:
    """A judge of a tune's beginning; its fault says why no tune that begins like this becomes valid."""
    judge = BarJudge()
    judge.push_forced(f"{text}A")  # a bar is judged when the next one begins
    return judge


def _fault(text: str) -> str:
    return re.sub(r" \(line [0-9]+\)", "", _judged(text).fault)


def _header(conditions: Conditions) -> str:
    """What is known of the metre in which a start without a header is read."""
    return f"M:{conditions.metre}\nL:1/8\n" if conditions.metre else "L:1/8\n"


def _plain_keys(header: str) -> str:
    return re.sub(r"^K:(.*)$", lambda key: f"K:{plain_key(key[1].split('%')[0]) or key[1]}", header, flags=re.MULTILINE)


def _split(start: str) -> tuple[str, str]:
    """The complete lines of the header, up to and including K:, and what follows them."""
    end = 0
    for line in start.splitlines(keepends=True):
        if not (line.endswith("\n") and _FIELD.match(line)):
            break
        end += len(line)
        if line.startswith("K:"):
            break
    return start[:end], start[end:]

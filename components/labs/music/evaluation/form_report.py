"""The section of report.html about the form of tunes."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from components.labs.music.evaluation.form import Forms
from components.report.page import note, section, table

SHAPES = 8
"""Shapes shown, the commonest of the training tunes."""


def form_section(forms: Mapping[str, Forms], metrics: Mapping[str, float]) -> str:
    """forms: by source; the last is of training tunes."""
    *_, training = forms.values()
    shapes = [name for name, _ in training.shapes.most_common(SHAPES)]
    rows = [
        ("every part has 4, 8, 12 or 16 bars", *(f"{found.regular_rate:.0%}" for found in forms.values())),
        ("every part has 8 or 16 bars", *(f"{found.eights_rate:.0%}" for found in forms.values())),
        *(
            (f"{escape(name)} bars", *(f"{found.rate(found.shapes[name]):.0%}" for found in forms.values()))
            for name in shapes
        ),
    ]
    distances = (
        f"Distance of the bars that accepted tunes have had before from the training tunes': "
        f"{metrics['checked_repeated_bars_js_distance']:.2f}; of held-out tunes "
        f"{metrics['repeated_bars_js_distance_real']:.2f}."
    )
    lines = [f"<p>{distances}</p>"]
    if {"form_followed_rate", "bars_followed_rate"} <= metrics.keys():
        lines.append(
            "<p>Most tunes are written after control codes of a form that is drawn as often as training tunes have it: "
            f"{metrics['form_followed_rate']:.0%} of these have its parts and bars, and "
            f"{metrics['bars_followed_rate']:.0%} of their bars are new, or heard before, as it says.</p>"
        )
    return section(
        "Does it keep to a form?",
        "<p>Share of tunes by their form. A pickup and the end of its part make one bar. A tune where they do not, "
        "whose parts have different pickups or other numbers of bars, is odd and counts in no row. 2x8 is a part of "
        "eight bars that is played twice.</p>",
        table(rows, ("", *forms)),
        *lines,
        note("Accepted tunes, whose wrong bars were drawn again, as the music API returns them."),
    )

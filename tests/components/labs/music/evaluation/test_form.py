"""The report of form, also of a model that writes nothing."""

from __future__ import annotations

from collections import Counter

from components.labs.music.evaluation.form import GENERATED, REAL, TRAINING, Forms, metrics
from components.labs.music.evaluation.form_report import form_section


def test_a_model_that_writes_no_tune_that_is_accepted_has_a_report_too() -> None:
    none = Forms.of([])
    forms = {GENERATED: none, REAL: none, TRAINING: none}
    measured = metrics(forms, [])
    assert measured["regular_form_rate"] == 0
    assert "form_followed_rate" not in measured
    shown = form_section({**forms, TRAINING: none._replace(shapes=Counter({"8": 1}))}, measured)
    assert "nan" not in shown
    assert "<td>8 bars</td>" in shown, "words, and no number"

"""A number that no model can be made of is one line that names its key, before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import overridden, read
from components.errors import UserError
from components.params import checked
from components.settings import project_root


@pytest.mark.parametrize(
    ("lab", "assignment", "message"),
    [
        ("scratch", "scratch.hidden_sizes=[0]", "scratch.hidden_sizes.0 is 0: input should be greater than or equal"),
        ("scratch", "scratch.hidden_sizes=[32, -3]", "scratch.hidden_sizes.1 is -3: input should be greater"),
        ("scratch", "scratch.batch_size=1", "scratch.batch_size is 1: input should be greater than or equal to 2"),
        ("scratch", "evaluate.scratch.shifts=[28]", "evaluate.scratch.shifts.0 is 28: input should be less than"),
        ("scratch", "evaluate.scratch.noises=[-0.1]", "evaluate.scratch.noises.0 is -0.1: input should be greater"),
        ("scratch", "evaluate.scratch.blurs=[0.0]", "evaluate.scratch.blurs.0 is 0.0: input should be greater than 0"),
        ("digits", "digits.hidden_sizes=[-3]", "digits.hidden_sizes.0 is -3: input should be greater"),
        ("digits", "digits.channels=[0]", "digits.channels.0 is 0: input should be greater"),
        ("images", "images.widths=[8, -1]", "images.widths.1 is -1: input should be greater"),
        ("images", "images.discriminator_widths=[0]", "images.discriminator_widths.0 is 0: input should be greater"),
        ("images", "images.betas=[2, 3]", "images.betas.0 is 2: input should be less than 1"),
        ("portraits", "portraits.betas=[0.9, 1.0]", "portraits.betas.1 is 1.0: input should be less than 1"),
        ("portraits", "portraits.widths=[100000000]", "portraits.widths.0 is 100000000: input should be less than"),
        ("faces", "faces.widths=[0, 8, 8]", "faces.widths.0 is 0: input should be greater"),
        ("music", "music.betas=[-0.1, 0.5]", "music.betas.0 is -0.1: input should be greater than or equal to 0"),
    ],
)
def test_sizes_that_no_network_has_and_betas_that_never_settle_are_one_line(
    lab: str, assignment: str, message: str
) -> None:
    path = Path("params.yaml")
    raw = overridden(read(project_root() / path), lab, [assignment], path)
    with pytest.raises(UserError) as raised:
        checked(lab, raw, path)
    assert str(raised.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(raised.value)

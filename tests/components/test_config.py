"""A number that no model can be made of is one line that names its key, before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import read
from components.errors import UserError
from components.labs import find
from components.params import checked, with_assignments
from components.settings import project_root


@pytest.mark.parametrize(
    ("lab", "assignment", "message"),
    [
        ("mlp", "mlp.train.hidden_sizes=[0]", "mlp.train.hidden_sizes.0 is 0: input should be greater than or equal"),
        ("mlp", "mlp.train.hidden_sizes=[32, -3]", "mlp.train.hidden_sizes.1 is -3: input should be greater"),
        ("mlp", "mlp.train.batch_size=1", "mlp.train.batch_size is 1: input should be greater than or equal to 2"),
        ("mlp", "mlp.evaluate.shifts=[28]", "mlp.evaluate.shifts.0 is 28: input should be less than"),
        ("mlp", "mlp.evaluate.noises=[-0.1]", "mlp.evaluate.noises.0 is -0.1: input should be greater"),
        ("mlp", "mlp.evaluate.blurs=[0.0]", "mlp.evaluate.blurs.0 is 0.0: input should be greater than 0"),
        ("digits", "digits.train.hidden_sizes=[-3]", "digits.train.hidden_sizes.0 is -3: input should be greater"),
        ("digits", "digits.train.channels=[0]", "digits.train.channels.0 is 0: input should be greater"),
        (
            "digit_generation",
            "digit_generation.train.widths=[8, -1]",
            "digit_generation.train.widths.1 is -1: input should be greater",
        ),
        (
            "digit_generation",
            "digit_generation.train.discriminator_widths=[0]",
            "digit_generation.train.discriminator_widths.0 is 0: input should be greater",
        ),
        (
            "digit_generation",
            "digit_generation.train.betas=[2, 3]",
            "digit_generation.train.betas.0 is 2: input should be less than 1",
        ),
        (
            "face_generation",
            "face_generation.train.betas=[0.9, 1.0]",
            "face_generation.train.betas.1 is 1.0: input should be less than 1",
        ),
        (
            "face_generation",
            "face_generation.train.widths=[100000000]",
            "face_generation.train.widths.0 is 100000000: input should be less than",
        ),
        ("faces", "faces.train.widths=[0, 8, 8]", "faces.train.widths.0 is 0: input should be greater"),
        (
            "music",
            "music.train.betas=[-0.1, 0.5]",
            "music.train.betas.0 is -0.1: input should be greater than or equal to 0",
        ),
    ],
)
def test_sizes_that_no_network_has_and_betas_that_never_settle_are_one_line(
    lab: str, assignment: str, message: str
) -> None:
    path = Path("params.yaml")
    raw = with_assignments(read(project_root() / path), find(lab), [assignment], path)
    with pytest.raises(UserError) as raised:
        checked(find(lab), raw, path)
    assert str(raised.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("&a [*a]", "is not YAML: Circular reference"),
        ("{2020-02-03: 1}", "is not YAML: keys must be"),
        ("2020-02-30", "is not YAML: day is out of range"),
        ("9" * 5000, "is not YAML: Exceeds the limit"),
        ("[" * 500 + "]" * 500, "is not YAML: it is nested too deeply"),
        ('"' + "a" * 5000 + '"', "mlp.train.seed is 'aaa"),
        ("{}\n    ? \"a\\nb\\x1b\"\n    : 1", "unknown parameter 'mlp.train.a\\nb\\x1b'"),
    ],
    ids=["itself", "a date as key", "30 February", "long number", "deep", "long text", "key of two lines"],
)  # fmt: skip
def test_yaml_that_no_parameter_can_be_is_one_short_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    before, seed, after = (project_root() / "params.yaml").read_text().partition("\nmlp:\n  train:\n    seed: ")
    path.write_text(f"{before}{seed}{text} #{after}")
    with pytest.raises(UserError) as raised:
        checked(find("mlp"), read(path), path)
    assert said in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600

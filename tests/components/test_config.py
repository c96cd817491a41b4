"""A number that no model can be made of is one line that names its key, before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import ServerLimits, checked_section, read
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


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("train.seed", ["0", "4294967295"], ["-1", "4294967296"]),
        ("train.max_epochs", ["1"], ["0"]),
        ("train.patience", ["1"], ["0"]),
        ("train.log_every_n_steps", ["1"], ["0"]),
        ("train.gradient_clip", ["0.001"], ["0", "-0.5"]),
        ("export.parity_tolerance", ["0.001"], ["0", "-0.5"]),
        ("serve.request_seconds", ["0.5"], ["0"]),
        ("serve.body_bytes", ["1024"], ["1023"]),
        ("serve.body_seconds", ["0.5"], ["0"]),
        ("serve.held_bytes", ["1024"], ["1023"]),
        ("serve.retry_after_seconds", ["1"], ["0"]),
        ("serve.drain_seconds", ["0"], ["-0.5"]),
        ("serve.client_rate", ["0.5"], ["0"]),
        ("serve.client_burst", ["1"], ["0"]),
        ("serve.max_pixels", ["4096"], ["4095"]),
        ("serve.max_compact_pixels", ["4096"], ["4095"]),
        ("serve.max_jpeg_pixels", ["4096"], ["4095"]),
        ("serve.drift_window", ["100"], ["99"]),
        ("serve.drift_alarm_rate", ["0.001", "0.499"], ["0", "0.5"]),
        ("serve.shadow_every", ["1"], ["0"]),
        ("serve.shadow_window", ["10"], ["9"]),
    ],
)
def test_the_last_number_that_is_allowed_is_taken_and_the_next_one_is_refused(
    name: str, allowed: list[str], refused: list[str]
) -> None:
    path, lab = Path("params.yaml"), find("faces")
    raw = read(project_root() / path)
    for value in allowed:
        checked(lab, with_assignments(raw, lab, [f"faces.{name}={value}"], path), path)
    for value in refused:
        with pytest.raises(UserError, match=rf"params.yaml: faces.{name} is "):
            checked(lab, with_assignments(raw, lab, [f"faces.{name}={value}"], path), path)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("connections", [8], [7]),
        ("header_bytes", [4096, 2**20], [4095, 2**20 + 1]),
        ("header_seconds", [0.5], [0]),
        ("send_seconds", [0.5], [0]),
    ],
)
def test_the_same_holds_for_the_bounds_of_connections(name: str, allowed: list[float], refused: list[float]) -> None:
    given = read(project_root() / "params.yaml")["server"]
    for value in allowed:
        checked_section(ServerLimits, {**given, name: value}, Path("params.yaml"), "server")
    for value in refused:
        with pytest.raises(UserError, match=rf"server.{name} is "):
            checked_section(ServerLimits, {**given, name: value}, Path("params.yaml"), "server")

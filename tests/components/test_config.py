"""A number that no model can be made of is one line that names its key, before any work is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from components.config import (
    Bound,
    DatasetParams,
    ExportParams,
    Gate,
    Section,
    ServerLimits,
    TrainParams,
    Waiver,
    checked_section,
    overridden,
    read,
)
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


TRAIN = {"seed": 0, "max_epochs": 1, "patience": 1, "precision": "auto", "log_every_n_steps": 1}
WAIVER = {"metric": "loss", "reason": "r", "by": "b", "until": "2030-01-01"}


@pytest.mark.parametrize(
    ("section", "given", "name", "allowed", "refused"),
    [
        (DatasetParams, {"profile": "course"}, "limit", [0], [-1]),
        (TrainParams, TRAIN, "gradient_clip", [None, 0.001], [0, -0.5]),
        (ExportParams, {"parity_tolerance": 0.1}, "variants", [["int8"]], [[], ["int4"]]),
        (Bound, {"max": 1.0}, "max_regression", [None, 0], [-0.001]),
        (Bound, {"min": -1.0}, "min_count", [0], [-1]),
        (Waiver, WAIVER, "reason", ["r"], [""]),
        (Waiver, WAIVER, "by", ["b"], [""]),
        (Waiver, WAIVER, "until", ["2030-12-31"], ["2030-02-30", "soon", None]),
        (Gate, {}, "metrics", [{"loss": {"max": 1.0}}], [{}]),
        (Gate, {"metrics": {"loss": {"max": 1.0}}}, "profile", ["course", None], ["starter"]),
    ],
)
def test_what_a_dataset_a_training_and_a_gate_allow_ends_where_it_says(
    section: type[Section], given: dict[str, Any], name: str, allowed: list[Any], refused: list[Any]
) -> None:
    for value in allowed:
        checked_section(section, {**given, name: value}, Path("params.yaml"), "here")
    for value in refused:
        with pytest.raises(UserError, match=rf"^params.yaml: here.{name}(\.\S+)? is .*: [a-z]"):
            checked_section(section, {**given, name: value}, Path("params.yaml"), "here")


@pytest.mark.parametrize(
    ("bound", "metric", "said"),
    [
        ({"min": 0.0}, "loss", ""),
        ({"max": 0.0}, "audit.recall", ""),
        ({}, "loss", "give either min (higher is better) or max (lower is better)"),
        ({"min": 0.0, "max": 1.0}, "loss", "give either min (higher is better) or max (lower is better)"),
        ({"min": 0.0}, "recall", "a waiver names 'recall', which has no gate"),
    ],
)
def test_a_bound_has_one_direction_and_a_waiver_is_of_a_gate_or_the_audit(
    bound: dict[str, float], metric: str, said: str
) -> None:
    given = {"metrics": {"loss": bound}, "waivers": [{**WAIVER, "metric": metric}]}
    if not said:
        assert checked_section(Gate, given, Path("params.yaml"), "gate").waivers[0].metric == metric
        return
    with pytest.raises(UserError, match=re.escape(said)):
        checked_section(Gate, given, Path("params.yaml"), "gate")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**TRAIN, "patiense": 1}, "unknown parameter here.patiense; did you mean 'patience'?"),
        ({name: value for name, value in TRAIN.items() if name != "patience"}, "here.patience is missing"),
        ({"patiense": 1}, "unknown parameter here.patiense; did you mean 'patience'?"),
        ({**TRAIN, "patience": "1"}, "here.patience is '1': input should be a valid integer"),
        ({**TRAIN, "seed": 1.0}, "here.seed is 1.0: input should be a valid integer"),
        ({**TRAIN, "gradient_clip": float("nan")}, "here.gradient_clip is nan: input should be a finite number"),
        (7, "here is 7: input should be an object"),
    ],
    ids=["typo", "missing", "a typo is said before what is missing", "text", "float", "nan", "no block"],
)
def test_the_first_wrong_key_is_named_with_what_is_wrong(given: object, said: str) -> None:
    with pytest.raises(UserError) as raised:
        checked_section(TrainParams, given, Path("params.yaml"), "here")
    assert str(raised.value) == f"params.yaml: {said}"


BLOCKS = ("datasets", "pipelines", "music")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("music.seed=2", {"seed": 2, "train": {"size": 1}}),
        ("music.train.size=1e-3", {"seed": 1, "train": {"size": 0.001}}),
        ("music.gate.loss={max: 2}", {"seed": 1, "train": {"size": 1}, "gate": {"loss": {"max": 2}}}),
        ("music.name=a=b", {"seed": 1, "train": {"size": 1}, "name": "a=b"}),
        ("music.seed=", {"seed": None, "train": {"size": 1}}),
    ],
)  # fmt: skip
def test_an_assignment_of_any_depth_is_laid_over_and_what_was_read_stays(
    assignment: str, value: dict[str, Any]
) -> None:
    raw = {"music": {"seed": 1, "train": {"size": 1}}, "datasets": {}}
    assert overridden(raw, [assignment], BLOCKS, Path("params.yaml")) == {"music": value, "datasets": {}}
    assert raw == {"music": {"seed": 1, "train": {"size": 1}}, "datasets": {}}


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("music.seed", "'music.seed' sets nothing: write music.train.seed=2, a name of params.yaml and its value"),
        ("music=2", "'music=2' sets nothing: write music.train.seed=2, a name of params.yaml and its value"),
        ("musik.seed=2", "params.yaml: unknown parameter musik; did you mean 'music'?"),
        ("music.seed.more=2", "params.yaml: music.seed is 1 and has no more"),
        ("music.train.size.a.b=2", "params.yaml: music.train.size is 1 and has no a"),
        ("music.seed=[", "music.seed: '[' is not YAML"),
    ],
)
def test_an_assignment_that_sets_nothing_is_one_line_that_says_why(assignment: str, said: str) -> None:
    raw = {"music": {"seed": 1, "train": {"size": 1}}}
    with pytest.raises(UserError) as raised:
        overridden(raw, [assignment], BLOCKS, Path("params.yaml"))
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, " is missing: run from the project's folder, or name the file with --params"),
        (b"- a\n- b", " must hold blocks (datasets, a lab's name, ...), not a list"),
        (b"", " must hold blocks (datasets, a lab's name, ...), not a NoneType"),
        (b"a: \xff", " is not YAML: 'utf-8' codec can't decode"),
        (b"a: [1,\nb: 2", " is not YAML: while parsing a flow sequence"),
    ],
    ids=["no file", "a list", "empty", "no text", "no end"],
)
def test_a_file_that_is_no_params_yaml_is_one_line(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}{said}")
    assert str(raised.value).isprintable()


def test_parameters_cannot_be_changed_once_they_were_read() -> None:
    params = checked_section(TrainParams, TRAIN, Path("params.yaml"), "here")
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("assignment", "nearest"),
    [
        ("music.gate.metrics.bits_per_char.maxx=1", "max"),
        ("music.gate.metric=1", "metrics"),
        ("music.train.hidden_sise=8", "hidden_size"),
        ("music.trian=1", "train"),
    ],
)
def test_an_unknown_key_at_any_depth_names_the_nearest_of_its_own_section(assignment: str, nearest: str) -> None:
    path, lab = Path("params.yaml"), find("music")
    with pytest.raises(UserError) as raised:
        checked(lab, with_assignments(read(project_root() / path), lab, [assignment], path), path)
    key = assignment.partition("=")[0]
    assert str(raised.value) == f"params.yaml: unknown parameter {key}; did you mean '{nearest}'?"

"""The command line helps, and says in one line what was wrong."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.config import LabParams, read
from components.datasets import DATASETS, find_dataset
from components.errors import UserError
from components.labs import LABS, find
from components.params import checked, checked_dataset
from components.sources.catalogue import raw_folder
from components.sources.profile import PROFILES
from components.steps import dataset_step, lab_step
from components.tracking.journal import journals

PROJECT = Path(__file__).resolve().parents[2]
DATASET_STEPS = ("prepare", "validate")
LAB_STEPS = ("train", "export", "evaluate", "audit", "gate", "promote")
STEPS = ("fetch", "accept-data", "versions", "search", *DATASET_STEPS, *LAB_STEPS)


def components(*arguments: str, cwd: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "components", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_help_lists_every_step_with_what_it_does() -> None:
    done = components("--help")
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and len(line.split()) > 2]
    assert [step for step in STEPS if step not in listed] == []


def test_help_of_a_step_names_the_labs_and_the_options() -> None:
    done = components("train", "music", "--help")
    assert done.returncode == 0
    for word in ("music", "--params", "--build", "epoch"):
        assert word in done.stdout


def test_an_unknown_lab_names_the_nearest() -> None:
    assert "there is no lab 'musik'; did you mean 'music'?" in one_line(components("train", "musik"))


def test_an_unknown_step_names_the_nearest() -> None:
    assert one_line(components("trian", "music")) == "error: there is no command 'trian'; did you mean 'train'?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train music --parms x", "there is no option '--parms'; did you mean '--params'?"),
        ("train music --zzz", "there is no option '--zzz'; did you mean '--"),
        ("rollback music abc", "'version': Input should be a valid integer"),
        ("rollback music 1 2", "got unexpected extra argument(s) (2); `python -m components rollback --help` says"),
        ("train", "missing argument 'LAB'; `python -m components train --help` says"),
        ("train music --params", "option '--params' requires an argument"),
        ("gate music --require-pass=yes", "'--require-pass' does not take a value"),
        ("xyz", "there is no command 'xyz'; did you mean '"),
    ],
)
def test_wrong_usage_is_one_line(arguments: str, message: str) -> None:
    line = one_line(components(*arguments.split()))
    assert line.startswith("error: ")
    assert message in line


def test_without_a_step_there_is_help() -> None:
    done = components()
    assert done.returncode == 2
    assert done.stderr == components("--help").stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("embedding_size:", "embeding_size:"),
            "unknown parameter music.train.embeding_size; did you mean 'embedding_size'?",
        ),
        (("embedding_size:", "embedding_size: many #"), "music.train.embedding_size is 'many'"),
        (("embedding_size:", "embedding_size: -1 #"), "music.train.embedding_size is -1"),
        (("embedding_size:", "# embedding_size:"), "music.train.embedding_size is missing"),
        (("\nmusic:", "\nmusik:"), "unknown parameter musik; did you mean 'music'?"),
        (("hidden_size: 512", "hidden_size: 512.5"), "music.train.hidden_size is 512.5"),
        (
            ("bits_per_char: {max", "bits_per_chr: {max"),
            "unknown parameter music.gate.metrics.bits_per_chr; did you mean 'bits_per_char'?",
        ),
        (
            ("attention_window: 256", "attention_window: 16"),
            "attention_window is 16: more than attention_lag is needed",
        ),
        (("betas: [0.9, 0.99]", "betas: [0.9]"), "music.train.betas"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_nearest_right_one(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    text = (PROJECT / "params.yaml").read_text()
    assert change[0] in text
    (tmp_path / "params.yaml").write_text(text.replace(change[0], change[1], 1))
    line = one_line(components("train", "music", "--params", str(tmp_path / "params.yaml")))
    assert message in line
    assert "params.yaml" in line


def test_a_folder_in_place_of_params_is_one_line(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in one_line(components("train", "music", "--params", str(tmp_path)))


@pytest.mark.parametrize("value", [None, 3, "text", ["a list"], {"nothing": 1}], ids=str)
def test_a_section_that_is_none_is_one_line_where_the_lab_needs_it(value: object) -> None:
    raw = read(PROJECT / "params.yaml")
    for lab, section in itertools.product(LABS, LabParams.model_fields):
        for changed in ({**raw, lab: value}, {**raw, lab: {**raw[lab], section: value}}):
            try:
                checked(find(lab), changed, Path("params.yaml"))
            except UserError as error:
                assert f"params.yaml: {lab}" in str(error) or "unknown parameter" in str(error)
                assert "\n" not in str(error)
    for name in DATASETS:
        for changed in ({**raw, "datasets": value}, {**raw, "datasets": {name: value}}):
            with pytest.raises(UserError, match=r"params\.yaml: .*datasets") as refused:
                checked_dataset(find_dataset(name), changed, Path("params.yaml"))
            assert "\n" not in str(refused.value)


@pytest.mark.parametrize("lab", LABS)
@pytest.mark.parametrize("step", LAB_STEPS)
def test_a_lab_has_a_step_or_says_in_one_line_that_it_has_not(workplace: Path, lab: str, step: str) -> None:
    pin_everything()
    if step == "audit" and not find(lab).audited:
        with pytest.raises(UserError) as refused, lab_step(step, lab, PROJECT / "params.yaml", Path("build")):
            pytest.fail("the step began")
        assert str(refused.value) == f"the lab {lab} has no audit: its gate reads the evaluation alone"
        assert journals() == []
    else:
        with lab_step(step, lab, PROJECT / "params.yaml", Path("build")) as this:
            assert this.lab.name == lab


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("step", DATASET_STEPS)
def test_a_dataset_has_its_steps_and_no_lab_has_them(workplace: Path, dataset: str, step: str) -> None:
    pin_everything()
    with dataset_step(step, dataset, PROJECT / "params.yaml", Path("build")) as this:
        assert (this.dataset.name, this.out) == (dataset, Path("build") / dataset / step)
    with (
        pytest.raises(UserError, match="there is no dataset 'mlp'"),
        dataset_step(step, "mlp", PROJECT / "params.yaml", Path("build")),
    ):
        pytest.fail("the step began")


def pin_everything() -> None:
    """A pin with an entry of every dataset in every profile, and of all pretrained weights."""
    folders = [raw_folder(name, profile) for name in DATASETS for profile in PROFILES]
    folders += [raw_folder(weights, "course") for lab in LABS for weights in find(lab).pretrained]
    Path("data.dvc").write_text("outs:\n" + "".join(f"- {{md5: aaaa.dir, path: {folder}}}\n" for folder in folders))


def test_the_audit_of_a_lab_that_has_none_is_one_line() -> None:
    assert one_line(components("audit", "music")) == (
        "error: the lab music has no audit: its gate reads the evaluation alone"
    )


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "\x00", "music: 3"])
def test_a_broken_params_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    assert "params.yaml" in one_line(components("train", "music", "--params", str(tmp_path / "params.yaml")))


def test_a_missing_params_file_says_where_to_go(tmp_path: Path) -> None:
    assert "run from the project's folder" in one_line(
        components("train", "music", "--params", str(tmp_path / "no.yaml"))
    )


@pytest.mark.parametrize("step", ["train", "export", "evaluate", "gate", "promote"])
def test_a_step_without_its_input_says_which_step_to_run(tmp_path: Path, step: str) -> None:
    line = one_line(components(step, "music", "--build", str(tmp_path / "build")))
    assert "missing" in line


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("SERVE_PORT", "abc", "SERVE_PORT is 'abc'"),
        ("SERVE_PORT", "70000", "SERVE_PORT is '70000'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'LOUD'"),
        ("ONNX_DEVICE", "tpu", "ONNX_DEVICE is 'tpu'"),
        ("MLFLOW_TRACKING_URI", "ftp://example.invalid/runs", "not an address that MLflow knows"),
        ("MLFLOW_TRACKING_URI", "mssql://example.invalid/runs", "No module named"),
    ],
)
def test_a_wrong_environment_variable_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    line = one_line(components("evaluate", "music", "--build", str(tmp_path)))
    assert variable in line
    assert reason in line


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    address = "ftp://somebody:secret@example.invalid/runs"
    line = one_line(components("evaluate", "music", "--build", str(tmp_path), MLFLOW_TRACKING_URI=address))
    assert "example.invalid" in line
    assert "secret" not in line

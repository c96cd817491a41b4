"""What images are made of, as far as it can be known without building them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.docker.requirements import constraints, requirements
from infra.images import IMAGES
from infra.manifests import K8S

PROJECT = K8S.parent.parent
DOCKERFILES = sorted((PROJECT / "infra" / "docker").glob("*.Dockerfile"))


def names(lines: list[str]) -> set[str]:
    return {re.sub(r"[._]", "-", re.split(r"[^A-Za-z0-9._-]", line)[0].lower()) for line in lines}


@pytest.mark.parametrize("image", IMAGES)
def test_the_lock_pins_what_every_image_installs(image: str) -> None:
    extras = list(IMAGES[image].extras)
    wanted = names(requirements(extras, "cpu")) - {"onnxruntime"}
    assert wanted - names(constraints()) == set(), "`make lock`"


def test_an_api_installs_what_its_labs_declare_and_others_do_not() -> None:
    assert IMAGES["agents"].arguments["EXTRAS"] == "serve games"
    assert "gymnasium" in names(requirements(list(IMAGES["agents"].extras), "cpu"))
    assert "gymnasium" not in names(requirements(list(IMAGES["music"].extras), "cpu"))


def test_an_image_has_one_onnxruntime_in_the_locks_version() -> None:
    for flavour, name, other in (("cpu", "onnxruntime", "onnxruntime-gpu"), ("gpu", "onnxruntime-gpu", "onnxruntime")):
        lines = requirements(["serve"], flavour)
        (pin,) = (line for line in lines if line.startswith("onnxruntime"))
        assert re.fullmatch(rf"{name}==[0-9.]+", pin)
        assert other not in names(lines)
    assert "torch" not in names(requirements(["serve", "fetch"], "cpu"))
    assert not names(constraints()) & {"onnxruntime", "onnxruntime-gpu"}


def test_an_unknown_extra_is_one_line() -> None:
    script = str(PROJECT / "infra" / "docker" / "requirements.py")
    done = subprocess.run([sys.executable, script, "servce"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: pyproject.toml has no extra 'servce'")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_ends_as_a_stranger_and_takes_its_base_as_an_argument(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"(?m)^ARG BASE_IMAGE=(.*)$", text) == ["python:3.11-slim"]
    stages = re.findall(r"(?m)^FROM (\S+)(?: AS (\S+))?", text)
    made_here = {name for _, name in stages}
    assert {base for base, _ in stages} <= {"${BASE_IMAGE}", *made_here}
    assert re.findall(r"(?m)^USER (.*)$", text) == ["10001:10001"]
    assert "--no-cache-dir" in text
    assert "ADD " not in text


def test_nothing_gets_into_an_image_that_was_not_named() -> None:
    lines = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert not {name for name in let_in if re.search(r"secret|\.env|\.git$|^data$|tests|build", name)}

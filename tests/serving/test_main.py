"""The command line: whatever lab is named, its API is found, or one line says which labs have one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from components.labs import LABS
from serving import APIS
from serving.__main__ import command
from tests.serving.servers import PROJECT


def serve(lab: str) -> str:
    """What is said on the way out."""
    done = subprocess.run(
        [sys.executable, "-m", "serving", lab],
        cwd=PROJECT,
        env={**os.environ, "SERVE_BUNDLE": "no-such-bundle"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(("lab", "api"), [("scratch", "digits"), ("portraits", "images")])
def test_a_lab_without_an_api_of_its_own_is_served_by_anothers(lab: str, api: str) -> None:
    assert command(lab, ["--port", "1"], "") == [
        *(sys.executable, "-m", f"serving.{api}", "--bundle", f"models:/{lab}@champion", "--port", "1")
    ]
    assert command(lab, [], "given") == command(api, [], "") == [sys.executable, "-m", f"serving.{api}"]


def test_the_api_takes_over() -> None:
    assert "no-such-bundle" in serve("scratch")


def test_a_lab_without_an_api_and_an_unknown_one_are_one_line() -> None:
    served = [lab for labs in APIS.values() for lab in labs]
    for lab in set(LABS) - set(served):
        assert serve(lab) == f"error: the lab {lab} has no API; those that have: {', '.join(served)}"
    assert "there is no lab 'portrait'; did you mean 'portraits'?" in serve("portrait")

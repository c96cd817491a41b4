"""The command line: whatever lab is named, its API is found, or one line says which labs have one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.apis import api_of, apis, labs_of
from components.errors import UserError
from components.labs import find
from serving.core.service import definition
from serving.page import STATIC
from tests.serving.servers import PROJECT, running


def serve(lab: str, *options: str, **environment: str) -> str:
    """What is said on the way out."""
    done = subprocess.run(
        [sys.executable, "-m", "serving", lab, *options],
        cwd=PROJECT,
        env={**os.environ, "SERVE_BUNDLE": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(("lab", "api"), [("mlp", "digits"), ("face_generation", "generation"), ("music", "music")])
def test_a_lab_is_served_by_its_api(lab: str, api: str) -> None:
    assert api_of(lab) == api
    assert lab in labs_of(api)


@pytest.mark.parametrize("api", apis())
def test_an_api_that_labs_name_has_its_folder_and_its_page(api: str) -> None:
    assert definition(api).name == api
    assert (STATIC / api / "index.html").exists()


def test_a_lab_is_served_with_its_own_champion_unless_another_bundle_is_named(tmp_path: Path) -> None:
    nothing = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/none.db"}
    assert "models:/mlp@champion" in serve("mlp", **nothing)
    assert "no-such-bundle" in serve("mlp", SERVE_BUNDLE="no-such-bundle")
    assert "no-such-folder" in serve("mlp", "--bundle", "no-such-folder", SERVE_BUNDLE="no-such-bundle")


def test_the_module_of_an_api_is_its_command_too(generation_bundle: Path, tmp_path: Path) -> None:
    options = ["--bundle", str(generation_bundle), "--allow-unpromoted", "--port", "0"]
    with running([sys.executable, "-m", "serving.generation.service", *options], tmp_path) as server:
        assert server.client.get("/samples?count=1").status_code == 200


def test_an_images_command_serves_the_api_that_its_variable_names(
    generation_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVE_API", "generation")
    options = ["--bundle", str(generation_bundle), "--allow-unpromoted", "--port", "0"]
    with running([sys.executable, "-m", "serving.service", *options], tmp_path) as server:
        assert server.client.get("/samples?count=1").status_code == 200
    monkeypatch.setenv("SERVE_API", "musik")
    done = subprocess.run([sys.executable, "-m", "serving.service"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [f"error: SERVE_API is 'musik': it names one of {', '.join(apis())}"],
    )


def test_a_lab_without_an_api_and_an_unknown_one_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(find("transfer")), "api", None)
    with pytest.raises(UserError, match=r"^the lab transfer has no API; those that have: cartpole, .*, uncertainty$"):
        api_of("transfer")
    assert "there is no lab 'musik'; did you mean 'music'?" in serve("musik")
